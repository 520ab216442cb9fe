# What somebody must hear of, by e-mail. Happenings that are one line of a log are matched as lines, so that the
# message can say which model or which user; the platform groups them and mails each at most once in five minutes.

resource "google_monitoring_notification_channel" "email" {
  project      = local.project
  display_name = "${var.name} alerts"
  type         = "email"
  labels       = { email_address = var.alert_email }
}

locals {
  log_of = { for key, function in {
    proxy      = google_cloudfunctions2_function.proxy.name
    usage_sink = google_cloudfunctions2_function.usage_sink.name
  } : key => "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${function}\"" }

  # Contracts with the code: tests/terraform/test_alerts.py holds each filter and label to the lines that are logged.
  log_alerts = {
    unpublished_events = {
      title    = "usage events could not be published"
      severity = "ERROR"
      filter   = local.unpublished_events
      labels   = {}
      advice   = "The events are kept in the proxy's log and go back to the topic from there. If this goes on, look at Pub/Sub's status and at the proxy account's roles/pubsub.publisher."
    }
    unpriced_models = {
      title    = "a model has no price"
      severity = "WARNING"
      filter   = "${local.log_of.usage_sink} AND jsonPayload.unpriced_reason:*"
      labels   = { model = "EXTRACT(jsonPayload.response_model)", reason = "EXTRACT(jsonPayload.unpriced_reason)" }
      advice   = "Its records have no list_cost, so sums are too low; `openai-proxy prices check` lists them, and says what helps. Once a newer version or src/openai_proxy/prices.toml has the price: `make deploy-usage_sink` for what comes, `openai-proxy reprice --since DATE` for what is there."
    }
    budget_80 = {
      title    = "a budget is used to 80 %"
      severity = "WARNING"
      filter   = "${local.log_of.proxy} AND jsonPayload.message=\"a budget is nearly used up\" AND jsonPayload.threshold=80"
      labels   = { user = "EXTRACT(jsonPayload.user_id)", team = "EXTRACT(jsonPayload.team_id)" }
      advice   = "Requests still pass. Raise the budget in the access file, or speak with the user or the team; without either it is the budget of all together."
    }
    budget_100 = {
      title    = "a budget is used up"
      severity = "ERROR"
      filter   = "${local.log_of.proxy} AND jsonPayload.message=\"a budget is used up\""
      labels   = { user = "EXTRACT(jsonPayload.user_id)", team = "EXTRACT(jsonPayload.team_id)" }
      advice   = "Requests of this user or team (without either: of everybody) are refused until the next period, or until the budget in the access file is raised."
    }
  }
}

resource "google_monitoring_alert_policy" "log" {
  for_each              = local.log_alerts
  project               = local.project
  display_name          = "${var.name}: ${each.value.title}"
  severity              = each.value.severity
  combiner              = "OR"
  notification_channels = [google_monitoring_notification_channel.email.id]
  user_labels           = var.labels

  conditions {
    display_name = each.value.title
    condition_matched_log {
      filter           = each.value.filter
      label_extractors = each.value.labels
    }
  }

  alert_strategy {
    auto_close = "86400s"
    notification_rate_limit {
      period = "300s"
    }
  }

  documentation {
    content   = each.value.advice
    mime_type = "text/markdown"
  }
}

resource "google_monitoring_alert_policy" "dead_letters" {
  project               = local.project
  display_name          = "${var.name}: dead letters wait"
  severity              = "ERROR"
  combiner              = "OR"
  notification_channels = [google_monitoring_notification_channel.email.id]
  user_labels           = var.labels

  conditions {
    display_name = "a message lies in ${google_pubsub_subscription.dead_letters.name}"
    condition_threshold {
      filter          = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${google_pubsub_subscription.dead_letters.name}\" AND metric.type = \"pubsub.googleapis.com/subscription/num_undelivered_messages\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"
      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_MAX"
      }
    }
  }

  documentation {
    content   = "Usage that is not in the ledger. Look at the reasons with `openai-proxy dead-letters list`, and bring them in with `openai-proxy dead-letters replay` before ${var.message_retention_days} days have passed."
    mime_type = "text/markdown"
  }
}

resource "google_monitoring_alert_policy" "errors" {
  project               = local.project
  display_name          = "${var.name}: many requests fail"
  severity              = "ERROR"
  combiner              = "OR"
  notification_channels = [google_monitoring_notification_channel.email.id]
  user_labels           = var.labels

  conditions {
    display_name = "more than 5 % of a function's answers are 5xx, for ten minutes"
    condition_threshold {
      filter             = "${local.request_count} AND metric.labels.response_code_class = \"5xx\""
      denominator_filter = local.request_count
      comparison         = "COMPARISON_GT"
      threshold_value    = 0.05
      duration           = "300s" # a second window of five minutes, so that one failure in a quiet hour is no alarm
      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_RATE"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.labels.service_name"]
      }
      denominator_aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_RATE"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.labels.service_name"]
      }
    }
  }

  documentation {
    content   = "The proxy hands OpenAI's own 5xx on, so look at the ledger's error_type first: upstream_* and OpenAI's types are not ours. The sink's 5xx are redelivered, and become dead letters after ten attempts."
    mime_type = "text/markdown"
  }
}

locals {
  service_names = join(", ", [for function in [google_cloudfunctions2_function.proxy, google_cloudfunctions2_function.usage_sink, google_cloudfunctions2_function.log_view] : "\"${function.name}\""])
  request_count = "resource.type = \"cloud_run_revision\" AND resource.labels.service_name = one_of(${local.service_names}) AND metric.type = \"run.googleapis.com/request_count\""
}
