# Which thresholds of budgets have been told: an object each, which only the first instance of the proxy that notices can
# make. So each is one line of the log, and one mail, however many instances there are (docs/adr/0014-budget-notices.md).

resource "google_storage_bucket" "budget_claims" {
  project                     = local.project
  name                        = "${var.project}-${var.name}-budget-claims"
  location                    = var.region
  labels                      = var.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # it holds nothing but names

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    condition {
      age = 400 # days: longer than any period but the one without an end, which is told once more then
    }
    action {
      type = "Delete"
    }
  }
}

# To make objects, and nothing else: not to read, list, replace or delete one.
resource "google_storage_bucket_iam_member" "proxy_claims" {
  bucket = google_storage_bucket.budget_claims.name
  role   = "roles/storage.objectCreator"
  member = google_service_account.proxy.member
}
