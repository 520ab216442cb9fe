# The proxy: the only function that the world may reach.

locals {
  budget_pipeline_seconds = "10" # a cold start of the sink, and a try that fails
  budget_refresh_seconds  = "2"  # each question is a query that BigQuery charges for: docs/budgets.md
  openai_key_file         = "/secrets/openai/api_key"
  upstream_keys_dir       = "/secrets/upstream_keys"

  proxy_volumes = merge( # a secret => the file it is
    { openai_api_key = local.openai_key_file },
    local.access_file_volumes,
    { for name, key in local.upstream_keys : key => "${local.upstream_keys_dir}/${name}/api_key" },
  )
  proxy_secret_variables = var.rate_limit_redis ? { rate_limit_url = "RATE_LIMIT_URL" } : {} # a secret => the variable it is
}

resource "google_service_account" "proxy" {
  project      = local.project
  account_id   = "${var.name}-proxy"
  display_name = "Runs the proxy of ${var.name}"
}

resource "google_cloudfunctions2_function" "proxy" {
  project     = local.project
  location    = var.region
  name        = "${var.name}-proxy"
  description = "OpenAI's API with the team's key; every request becomes a usage event"
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
    service_account_email            = google_service_account.proxy.email
    ingress_settings                 = "ALLOW_ALL"
    timeout_seconds                  = 3600 # the platform's longest: a thinking model may take its time
    available_cpu                    = tostring(var.functions.proxy.cpu)
    available_memory                 = var.functions.proxy.memory
    max_instance_request_concurrency = var.functions.proxy.concurrency
    min_instance_count               = var.functions.proxy.min_instances
    max_instance_count               = var.functions.proxy.max_instances

    environment_variables = merge(local.environment, {
      ACCESS_FILE             = local.access_file
      BUDGET_CLAIMS_URL       = "gs://${google_storage_bucket.budget_claims.name}"
      BUDGET_INSTANCES        = tostring(var.functions.proxy.max_instances)
      BUDGET_PIPELINE_SECONDS = local.budget_pipeline_seconds
      BUDGET_REFRESH_SECONDS  = local.budget_refresh_seconds
      FORWARDED_HOPS          = "1"                                                            # the platform says whom it was called by
      LOG_VIEW_AUDIENCE       = google_cloudfunctions2_function.log_view.service_config[0].uri # of the identity token
      LOG_VIEW_URL            = google_cloudfunctions2_function.log_view.service_config[0].uri
      OPENAI_API_KEY_FILE     = local.openai_key_file
      USAGE_QUEUE_URL         = "pubsub://${local.project}/${google_pubsub_topic.usage_events.name}"
      UPSTREAM_KEYS_DIR       = local.upstream_keys_dir
    }, var.openai_base_url == null ? {} : { OPENAI_BASE_URL = var.openai_base_url })

    # Read when an instance starts, so a new value is in force with the next one. All must count in the same place.
    dynamic "secret_environment_variables" {
      for_each = local.proxy_secret_variables
      content {
        key        = secret_environment_variables.value
        project_id = local.project
        secret     = google_secret_manager_secret.secret[secret_environment_variables.key].secret_id
        version    = "latest"
      }
    }

    direct_vpc_egress = var.vpc == null ? null : "VPC_EGRESS_PRIVATE_RANGES_ONLY" # OpenAI and Google's APIs: not through it
    dynamic "direct_vpc_network_interface" {
      for_each = var.vpc[*]
      content {
        network    = direct_vpc_network_interface.value.network
        subnetwork = direct_vpc_network_interface.value.subnetwork
      }
    }

    # Volumes read `latest` at each access, so a new key works without a redeploy; one a secret, because one mount point
    # holds one secret.
    dynamic "secret_volumes" {
      for_each = local.proxy_volumes
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
    # What is built belongs to `make deploy`. The whole block: the provider sends all of it when any part changes, and
    # would ship the placeholder over the live code.
    ignore_changes = [build_config]
  }

  depends_on = [
    google_project_iam_member.build,
    google_secret_manager_secret_iam_member.proxy_reads,
    google_secret_manager_secret_version.first,
    google_storage_bucket_iam_member.access_file_readers,
  ]
}

# The Run service behind a function has its name. The invoker's role counts there, not on the function.
resource "google_cloud_run_service_iam_member" "proxy_public" {
  count    = var.public ? 1 : 0
  project  = local.project
  location = var.region
  service  = google_cloudfunctions2_function.proxy.name
  role     = "roles/run.invoker"
  member   = "allUsers"
}
