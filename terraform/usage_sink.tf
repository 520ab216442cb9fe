# The sink: Pub/Sub pushes each usage event to it, and it writes the ledger.

locals {
  sink_timeout_seconds = 60
}

resource "google_service_account" "usage_sink" {
  project      = local.project
  account_id   = "${var.name}-usage-sink"
  display_name = "Runs the sink of ${var.name}"
}

resource "google_service_account" "usage_push" {
  project      = local.project
  account_id   = "${var.name}-usage-push"
  display_name = "Pub/Sub pushes usage events to the sink of ${var.name} as this account"
}

resource "google_cloudfunctions2_function" "usage_sink" {
  project     = local.project
  location    = var.region
  name        = "${var.name}-usage-sink"
  description = "Prices usage events and writes them into the ledger"
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
    service_account_email            = google_service_account.usage_sink.email
    ingress_settings                 = "ALLOW_INTERNAL_ONLY" # Pub/Sub of the same project is inside, on the run.app address
    timeout_seconds                  = local.sink_timeout_seconds
    available_cpu                    = tostring(var.functions.usage_sink.cpu)
    available_memory                 = var.functions.usage_sink.memory
    max_instance_request_concurrency = var.functions.usage_sink.concurrency
    min_instance_count               = var.functions.usage_sink.min_instances
    max_instance_count               = var.functions.usage_sink.max_instances

    environment_variables = merge(local.environment, {
      DEAD_LETTER_URL = "pubsub://${local.project}/${google_pubsub_topic.dead_letters.name}"
      THREADS         = tostring(var.functions.usage_sink.concurrency) # gunicorn's default, 4 a CPU, would cap it
      USAGE_STORE_URL = local.usage_store_url
    })
  }

  lifecycle {
    ignore_changes = [build_config] # as in proxy.tf
  }

  depends_on = [google_project_iam_member.build]
}

resource "google_cloud_run_service_iam_member" "push_calls_usage_sink" {
  project  = local.project
  location = var.region
  service  = google_cloudfunctions2_function.usage_sink.name
  role     = "roles/run.invoker"
  member   = google_service_account.usage_push.member
}
