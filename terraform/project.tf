# The project's services, and the account that builds the functions.

resource "google_project_service" "api" {
  for_each = toset(concat([
    "artifactregistry.googleapis.com",
    "bigquery.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "storage.googleapis.com",
  ], var.google_sign_in == null ? [] : ["compute.googleapis.com", "iap.googleapis.com"]))
  project            = var.project
  service            = each.key
  disable_on_destroy = false # something else in the project may need it
}

locals {
  # Read from the services, so that whatever names its project this way is made after they are enabled.
  project = values(google_project_service.api)[0].project

  # What every function has in common. LOG_EXECUTION_ID: the platform sets it, so it is stated, or each plan would
  # take it away again.
  runtime     = "python313"
  environment = { LOG_EXECUTION_ID = "true" }
}

data "google_project" "this" {
  project_id = local.project
}

resource "google_service_account" "build" {
  project      = local.project
  account_id   = "${var.name}-build"
  display_name = "Builds the functions of ${var.name}"
}

# What Google's page on building with one's own account asks for. On the project, because the platform names the bucket
# and the repository itself, at the first build.
resource "google_project_iam_member" "build" {
  for_each = toset(["roles/artifactregistry.writer", "roles/logging.logWriter", "roles/storage.objectViewer"])
  project  = local.project
  role     = each.key
  member   = google_service_account.build.member
}

# What runs until the first `make deploy`, and again where a function had to be replaced: it answers 503, so that
# pushed events wait in their subscription.
data "archive_file" "placeholder" {
  type        = "zip"
  source_dir  = "${path.module}/placeholder"
  output_path = "${path.module}/.terraform/placeholder.zip"
}

resource "google_storage_bucket" "placeholder" {
  project                     = local.project
  name                        = "${var.project}-${var.name}-placeholder"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true
}

resource "google_storage_bucket_object" "placeholder" {
  bucket = google_storage_bucket.placeholder.name
  name   = "placeholder.zip"
  source = data.archive_file.placeholder.output_path
}
