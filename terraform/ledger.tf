# The ledger: its tables, and what reads them. The columns and the queries are the package's files, so that Terraform,
# the SQLite store and the tests cannot disagree.

locals {
  package         = "${path.module}/../src/openai_proxy"
  ledger          = "${local.project}.${google_bigquery_dataset.ledger.dataset_id}"
  usage_store_url = "bigquery://${local.project}/${google_bigquery_dataset.ledger.dataset_id}/${google_bigquery_table.usage_records.table_id}"

  # NAME -> the text of NAME.sql with the names in it in place, and without a last semicolon, which a body must not have
  queries = {
    for file in fileset("${local.package}/queries/bigquery", "*.sql") :
    trimsuffix(file, ".sql") => trimsuffix(trimspace(templatefile("${local.package}/queries/bigquery/${file}", {
      table         = "${local.ledger}.${google_bigquery_table.usage_records.table_id}"
      usage         = "${local.ledger}.usage"
      access_events = "${local.ledger}.${google_bigquery_table.access_events.table_id}"
    })), ";")
  }
  # The other files are what log_view asks, with parameters, which a view cannot have; it fills in their $names itself.
  views = { for name, query in local.queries : name => query if startswith(query, "-- View:") }
}

resource "google_bigquery_dataset" "ledger" {
  project                    = local.project
  dataset_id                 = replace(var.name, "-", "_")
  location                   = var.region
  description                = "The usage ledger of ${var.name}"
  delete_contents_on_destroy = !var.deletion_protection
}

resource "google_bigquery_table" "usage_records" {
  project                  = local.project
  dataset_id               = google_bigquery_dataset.ledger.dataset_id
  table_id                 = "usage_records"
  description              = "What was written, duplicates and open requests included; usage() gives one final record a request"
  schema                   = file("${local.package}/usage_records.schema.json")
  clustering               = ["user_id", "response_model", "event_id"]
  require_partition_filter = true
  deletion_protection      = var.deletion_protection

  time_partitioning {
    type          = "DAY"
    field         = "event_time"
    expiration_ms = var.ledger_retention_days == null ? null : var.ledger_retention_days * 86400000
  }
}

# Written by `make access`, with the rights of whoever runs it: docs/adr/0012-audit-trail.md.
resource "google_bigquery_table" "access_events" {
  project             = local.project
  dataset_id          = google_bigquery_dataset.ledger.dataset_id
  table_id            = "access_events"
  description         = "Who changed what in the access file, and when; a row may be there twice"
  schema              = file("${local.package}/access_events.schema.json")
  deletion_protection = var.deletion_protection
}

resource "google_bigquery_routine" "usage" {
  project         = local.project
  dataset_id      = google_bigquery_dataset.ledger.dataset_id
  routine_id      = "usage"
  routine_type    = "TABLE_VALUED_FUNCTION"
  language        = "SQL"
  description     = "One final record a request, by event_time: from since, included, until until, excluded"
  definition_body = local.queries["usage"]

  dynamic "arguments" {
    for_each = ["since", "until"]
    content {
      name      = arguments.value
      data_type = jsonencode({ typeKind = "TIMESTAMP" })
    }
  }
}

resource "google_bigquery_table" "view" {
  for_each            = local.views
  project             = local.project
  dataset_id          = google_bigquery_dataset.ledger.dataset_id
  table_id            = each.key
  deletion_protection = false # it holds nothing of its own

  view {
    query          = each.value
    use_legacy_sql = false
  }

  depends_on = [google_bigquery_routine.usage] # which they call
}

# roles/bigquery.dataEditor could also read the ledger and delete its table; appending needs two permissions.
resource "google_project_iam_custom_role" "ledger_appender" {
  project     = local.project
  role_id     = "${replace(var.name, "-", "_")}_ledger_appender"
  title       = "Appends to the ledger of ${var.name}"
  permissions = ["bigquery.tables.get", "bigquery.tables.updateData"]
}

resource "google_bigquery_table_iam_member" "sink_appends" {
  project    = local.project
  dataset_id = google_bigquery_dataset.ledger.dataset_id
  table_id   = google_bigquery_table.usage_records.table_id
  role       = google_project_iam_custom_role.ledger_appender.name
  member     = google_service_account.usage_sink.member
}

resource "google_bigquery_dataset_iam_member" "log_view_reads" {
  project    = local.project
  dataset_id = google_bigquery_dataset.ledger.dataset_id
  role       = "roles/bigquery.dataViewer"
  member     = google_service_account.log_view.member
}

# A query is a job of the project; it reads only what the role above lets it.
resource "google_project_iam_member" "log_view_queries" {
  project = local.project
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.log_view.member
}
