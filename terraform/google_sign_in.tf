# Google's sign-in for /log, where google_sign_in asks for it: a load balancer on a domain of the organization's own.
# It sends /log through Identity-Aware Proxy and everything else past it, both to the proxy: SDKs bring keys of ours,
# which Identity-Aware Proxy would refuse. log_view stays the proxy's alone. docs/deploy.md says why not otherwise.

locals {
  google_sign_in = var.google_sign_in == null ? {} : { this = var.google_sign_in } # for_each: one, or none
  iap_audience   = { for key, service in google_compute_backend_service.page : "IAP_AUDIENCE" => "/projects/${data.google_project.this.number}/global/backendServices/${service.generated_id}" }
}

resource "google_compute_region_network_endpoint_group" "proxy" {
  for_each              = local.google_sign_in
  project               = local.project
  region                = var.region
  name                  = "${var.name}-proxy"
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = "${var.name}-proxy" # not its attribute: it needs log_view, which must know the audience made of this
  }
}

resource "google_compute_backend_service" "api" {
  for_each              = local.google_sign_in
  project               = local.project
  name                  = "${var.name}-api"
  description           = "The proxy, for SDKs: it checks its own keys"
  load_balancing_scheme = "EXTERNAL_MANAGED"

  backend {
    group = google_compute_region_network_endpoint_group.proxy[each.key].id
  }
}

resource "google_compute_backend_service" "page" {
  for_each              = local.google_sign_in
  project               = local.project
  name                  = "${var.name}-page"
  description           = "The proxy's /log, for people whom Google knows"
  load_balancing_scheme = "EXTERNAL_MANAGED"

  backend {
    group = google_compute_region_network_endpoint_group.proxy[each.key].id
  }
  iap {
    enabled = true # with the OAuth client that Google manages, which is for people of the organization
  }
}

resource "google_iap_web_backend_service_iam_member" "readers" {
  for_each            = toset(try(var.google_sign_in.members, []))
  project             = local.project
  web_backend_service = google_compute_backend_service.page["this"].name
  role                = "roles/iap.httpsResourceAccessor"
  member              = each.key
}

# Identity-Aware Proxy calls the proxy with its own account; where everybody may, it needs no right.
resource "google_cloud_run_service_iam_member" "iap_calls_proxy" {
  for_each = var.public ? {} : local.google_sign_in
  project  = local.project
  location = var.region
  service  = google_cloudfunctions2_function.proxy.name
  role     = "roles/run.invoker"
  member   = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-iap.iam.gserviceaccount.com"
}

resource "google_compute_url_map" "main" {
  for_each = local.google_sign_in
  project  = local.project
  name     = var.name

  default_url_redirect {
    host_redirect  = each.value.domain
    https_redirect = true
    strip_query    = true
  }
  host_rule {
    hosts        = [each.value.domain]
    path_matcher = "ours"
  }
  path_matcher {
    name            = "ours"
    default_service = google_compute_backend_service.api[each.key].id

    path_rule {
      paths   = ["/log", "/log/*"]
      service = google_compute_backend_service.page[each.key].id
    }
  }
}

resource "google_compute_managed_ssl_certificate" "main" {
  for_each = local.google_sign_in
  project  = local.project
  name     = var.name

  managed {
    domains = [each.value.domain]
  }
}

resource "google_compute_target_https_proxy" "main" {
  for_each         = local.google_sign_in
  project          = local.project
  name             = var.name
  url_map          = google_compute_url_map.main[each.key].id
  ssl_certificates = [google_compute_managed_ssl_certificate.main[each.key].id]
}

resource "google_compute_global_address" "main" {
  for_each = local.google_sign_in
  project  = local.project
  name     = var.name
}

resource "google_compute_global_forwarding_rule" "main" {
  for_each              = local.google_sign_in
  project               = local.project
  name                  = var.name
  load_balancing_scheme = "EXTERNAL_MANAGED"
  target                = google_compute_target_https_proxy.main[each.key].id
  ip_address            = google_compute_global_address.main[each.key].id
  port_range            = "443"
}
