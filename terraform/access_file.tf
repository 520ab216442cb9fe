# Who may call: a secret's volume, or, since a secret holds no more than 64 KiB, an object of a bucket that the proxy and
# log_view read by Cloud Storage's API: a function mounts no bucket. `make access` sends it to the one or the other.

locals {
  access_file       = var.access_file_bucket ? "gs://${local.access_file_in}/${local.access_file_name}" : "/secrets/access/${local.access_file_name}"
  access_file_in    = "${var.project}-${var.name}-access"
  access_file_name  = "access.toml"
  access_file_first = "version = 1\n" # nobody may call

  access_file_volumes = var.access_file_bucket ? {} : { access_file = local.access_file } # a secret => the file it is
}

resource "google_storage_bucket" "access_file" {
  count                       = var.access_file_bucket ? 1 : 0
  project                     = local.project
  name                        = local.access_file_in
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true

  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      num_newer_versions = 100
    }
  }
}

resource "google_storage_bucket_object" "first_access_file" {
  count   = var.access_file_bucket ? 1 : 0
  bucket  = google_storage_bucket.access_file[0].name
  name    = local.access_file_name
  content = local.access_file_first

  lifecycle {
    ignore_changes = all # only the first version is made here
  }
}

resource "google_storage_bucket_iam_member" "access_file_readers" {
  for_each = var.access_file_bucket ? { proxy = google_service_account.proxy.member, log_view = google_service_account.log_view.member } : {}
  bucket   = google_storage_bucket.access_file[0].name
  role     = "roles/storage.objectViewer"
  member   = each.value
}
