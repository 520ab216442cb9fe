output "proxy_url" {
  description = "The proxy's address."
  value       = google_cloudfunctions2_function.proxy.service_config[0].uri
}

output "openai_base_url" {
  description = "What an OpenAI SDK takes as OPENAI_BASE_URL."
  value       = "${google_cloudfunctions2_function.proxy.service_config[0].uri}/v1"
}

output "google_sign_in" {
  description = "The page by Google's sign-in, and the address that its domain's A record must name; null where there is none."
  value = one([for key, address in google_compute_global_address.main : {
    log_url = "https://${local.google_sign_in[key].domain}/log"
    address = address.address
  }])
}

output "log_url" {
  description = "The page with everybody's usage."
  value       = "${google_cloudfunctions2_function.proxy.service_config[0].uri}/log"
}

output "deploy" {
  description = "All that `make deploy`, `make access` and `make secrets` know of this deployment."
  value = {
    project       = local.project
    region        = var.region
    runtime       = local.runtime
    build_account = google_service_account.build.id
    public        = var.public
    proxy_url     = google_cloudfunctions2_function.proxy.service_config[0].uri
    functions = {
      proxy      = google_cloudfunctions2_function.proxy.name
      usage_sink = google_cloudfunctions2_function.usage_sink.name
      log_view   = google_cloudfunctions2_function.log_view.name
    }
    access_object = var.access_file_bucket ? local.access_file : null
    access_events = "${local.project}.${google_bigquery_dataset.ledger.dataset_id}.${google_bigquery_table.access_events.table_id}"
    secrets       = { for key, secret in google_secret_manager_secret.secret : key => secret.secret_id }
  }
}
