# A secret for each value that has its own readers and its own hand that changes it. Terraform makes each with a first
# version that opens nothing: a function's revision fails while a secret has none. Real values: `make secrets`,
# `make access`, `make redis`. No value is ever in the state: `secret_data_wo` is write-only.

locals {
  secrets = merge({
    openai_api_key = "not set yet: run make secrets"
    session_secret = "${uuid()}${uuid()}" # 244 random bits, known to nobody; it needs no other value
    }, { for key in keys(local.access_file_volumes) : key => local.access_file_first }, {
    for name, key in local.upstream_keys : key => "not set yet: run make secrets KEY=${name}"
    }, {
    for key in keys(local.proxy_secret_variables) : key => "redis://not-set-yet-run-make-redis.invalid" # each counts for itself
  })

  upstream_keys = { for name in var.upstream_keys : name => "upstream_key_${name}" } # a team's name for it => ours
}

resource "google_secret_manager_secret" "secret" {
  for_each  = local.secrets
  project   = local.project
  secret_id = "${var.name}-${replace(each.key, "_", "-")}"

  replication {
    auto {}
  }
}

resource "google_secret_manager_secret_version" "first" {
  for_each               = google_secret_manager_secret.secret
  secret                 = each.value.id
  secret_data_wo         = local.secrets[each.key]
  secret_data_wo_version = 1
  deletion_policy        = "ABANDON" # later versions are not Terraform's either; all go with their secret

  lifecycle {
    ignore_changes = [secret_data_wo] # only the first version is made here
  }
}

resource "google_secret_manager_secret_iam_member" "proxy_reads" {
  for_each  = toset(concat(keys(local.proxy_volumes), keys(local.proxy_secret_variables)))
  project   = local.project
  secret_id = google_secret_manager_secret.secret[each.key].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.proxy.member
}

resource "google_secret_manager_secret_iam_member" "log_view_reads" {
  for_each  = setunion(["session_secret"], keys(local.access_file_volumes))
  project   = local.project
  secret_id = google_secret_manager_secret.secret[each.key].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.log_view.member
}
