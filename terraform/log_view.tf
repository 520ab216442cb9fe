# log_view: the read side, which only the proxy may call.

resource "google_service_account" "log_view" {
  project      = local.project
  account_id   = "${var.name}-log-view"
  display_name = "Runs log_view of ${var.name}"
}

resource "google_cloudfunctions2_function" "log_view" {
  project     = local.project
  location    = var.region
  name        = "${var.name}-log-view"
  description = "The page at /log, and what each user has spent"
  labels      = var.labels

  build_config {
    runtime         = local.runtime
    entry_point     = "placeholder"
    service_account = google_service_account.build.id

    source {
      storage_source {
        bucket = google_storage_bucket.placeholder.name
        object = google_storage_bucket_object.placeholder.name
      }
    }
  }

  service_config {
    service_account_email = google_service_account.log_view.email
    # The proxy calls from outside any VPC, which internal ingress would refuse. Who may come in is run.invoker's
    # matter: without an identity token of the proxy's account the platform answers 403 before any code runs.
    ingress_settings                 = "ALLOW_ALL"
    timeout_seconds                  = 120
    available_cpu                    = tostring(var.functions.log_view.cpu)
    available_memory                 = var.functions.log_view.memory
    max_instance_request_concurrency = var.functions.log_view.concurrency
    min_instance_count               = var.functions.log_view.min_instances
    max_instance_count               = var.functions.log_view.max_instances

    environment_variables = merge(local.environment, {
      ACCESS_FILE     = local.access_file
      FORWARDED_HOPS  = "2"                                          # the proxy says from where a reader calls, the platform from where the proxy does
      THREADS         = tostring(var.functions.log_view.concurrency) # gunicorn's default, 4 a CPU, would cap it
      USAGE_STORE_URL = local.usage_store_url
    }, local.iap_audience)

    secret_environment_variables {
      key        = "SESSION_SECRET"
      project_id = local.project
      secret     = google_secret_manager_secret.secret["session_secret"].secret_id
      version    = "latest"
    }
    dynamic "secret_volumes" {
      for_each = local.access_file_volumes # as in proxy.tf: no block can be shared
      content {
        project_id = local.project
        secret     = google_secret_manager_secret.secret[secret_volumes.key].secret_id
        mount_path = dirname(secret_volumes.value)
        versions {
          version = "latest"
          path    = basename(secret_volumes.value)
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [build_config] # as in proxy.tf
  }

  depends_on = [
    google_project_iam_member.build,
    google_secret_manager_secret_iam_member.log_view_reads,
    google_secret_manager_secret_version.first,
    google_storage_bucket_iam_member.access_file_readers,
  ]
}

resource "google_cloud_run_service_iam_member" "proxy_calls_log_view" {
  project  = local.project
  location = var.region
  service  = google_cloudfunctions2_function.log_view.name
  role     = "roles/run.invoker"
  member   = google_service_account.proxy.member
}
