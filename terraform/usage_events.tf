# The queue: a topic, its push to the sink, the dead letters, and the way back in for events that could not be
# published. An own subscription, because the one that an event trigger makes can have no dead-letter topic.

locals {
  pubsub_agent      = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
  message_retention = "${var.message_retention_days * 86400}s"
}

resource "google_pubsub_topic" "usage_events" {
  project = local.project
  name    = "${var.name}-usage-events"
}

resource "google_pubsub_topic_iam_member" "proxy_publishes" {
  project = local.project
  topic   = google_pubsub_topic.usage_events.name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.proxy.member
}

resource "google_pubsub_subscription" "usage_sink" {
  project                    = local.project
  name                       = "${var.name}-usage-sink"
  topic                      = google_pubsub_topic.usage_events.id
  ack_deadline_seconds       = local.sink_timeout_seconds + 10 # a push is not repeated while the sink may still answer
  message_retention_duration = local.message_retention

  push_config {
    # The path names the topic: functions-framework takes the event's source from it.
    push_endpoint = "${google_cloudfunctions2_function.usage_sink.service_config[0].uri}/${google_pubsub_topic.usage_events.id}"

    oidc_token {
      service_account_email = google_service_account.usage_push.email
      audience              = google_cloudfunctions2_function.usage_sink.service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = 10
  }

  expiration_policy {
    ttl = "" # never: by default 31 days without a message would delete the subscription
  }

  depends_on = [
    google_cloud_run_service_iam_member.push_calls_usage_sink,
    google_pubsub_topic_iam_member.agent_publishes_dead_letters,
  ]
}

# Projects made before April 2021 need this to sign the push's token; in newer ones it changes nothing.
resource "google_service_account_iam_member" "agent_signs_push" {
  service_account_id = google_service_account.usage_push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent
}

# ---- dead letters: what was refused ten times, and what the sink says can never become a record

resource "google_pubsub_topic" "dead_letters" {
  project = local.project
  name    = "${var.name}-dead-letters"
}

# Without a subscription a topic keeps nothing.
resource "google_pubsub_subscription" "dead_letters" {
  project                    = local.project
  name                       = "${var.name}-dead-letters"
  topic                      = google_pubsub_topic.dead_letters.id
  ack_deadline_seconds       = 600
  message_retention_duration = local.message_retention

  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_topic_iam_member" "agent_publishes_dead_letters" {
  project = local.project
  topic   = google_pubsub_topic.dead_letters.name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "agent_forwards" {
  project      = local.project
  subscription = google_pubsub_subscription.usage_sink.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

resource "google_pubsub_topic_iam_member" "sink_publishes_dead_letters" {
  project = local.project
  topic   = google_pubsub_topic.dead_letters.name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.usage_sink.member
}

# ---- the way back: an event that the queue did not accept is one line of the proxy's log, which Cloud Logging brings
# to the topic as a whole LogEntry. Only the proxy's lines: nobody else's log may write the ledger.

resource "google_logging_project_sink" "unpublished_events" {
  project                = local.project
  name                   = "${var.name}-unpublished-events"
  description            = "Usage events that the proxy could only log, back to their topic"
  destination            = "pubsub.googleapis.com/${google_pubsub_topic.usage_events.id}"
  filter                 = local.unpublished_events
  unique_writer_identity = true
}

resource "google_pubsub_topic_iam_member" "log_sink_publishes" {
  project = local.project
  topic   = google_pubsub_topic.usage_events.name
  role    = "roles/pubsub.publisher"
  member  = google_logging_project_sink.unpublished_events.writer_identity
}

locals {
  unpublished_events = join(" AND ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=\"${google_cloudfunctions2_function.proxy.name}\"",
    "jsonPayload.usage_event:*",
  ])
}
