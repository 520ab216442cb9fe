# What somebody gets who names a project and an address, and nothing else.

mock_provider "google" {
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}
mock_provider "archive" {}

variables {
  project     = "acme-team"
  alert_email = "ops@acme.example"
}

run "defaults" {
  command = plan

  assert {
    condition     = alltrue([for function in [google_cloudfunctions2_function.proxy, google_cloudfunctions2_function.usage_sink, google_cloudfunctions2_function.log_view] : function.service_config[0].min_instance_count == 0])
    error_message = "a function keeps an idle instance"
  }
  assert {
    condition     = google_bigquery_table.usage_records.deletion_protection && !google_bigquery_dataset.ledger.delete_contents_on_destroy
    error_message = "the ledger can be destroyed without being asked for"
  }
  assert {
    condition     = length(google_cloud_run_service_iam_member.proxy_public) == 1
    error_message = "members need a Google account"
  }
  assert {
    condition     = length(google_cloudfunctions2_function.proxy.service_config[0].secret_environment_variables) == 0 && length(google_cloudfunctions2_function.proxy.service_config[0].direct_vpc_network_interface) == 0
    error_message = "the proxy asks for a Redis or a network that nobody chose"
  }
  assert {
    condition     = google_cloudfunctions2_function.proxy.service_config[0].environment_variables["BUDGET_INSTANCES"] == tostring(google_cloudfunctions2_function.proxy.service_config[0].max_instance_count)
    error_message = "the budgets reckon with another number of instances than there may be"
  }
}

run "limits_in_a_private_redis" {
  command = plan

  variables {
    rate_limit_redis = true
    vpc              = { network = "team", subnetwork = "proxy" }
  }

  assert {
    condition     = one(google_cloudfunctions2_function.proxy.service_config[0].secret_environment_variables).key == "RATE_LIMIT_URL" && contains(keys(google_secret_manager_secret_iam_member.proxy_reads), "rate_limit_url")
    error_message = "the proxy is not told the address, or may not read it"
  }
  assert {
    condition     = one(google_cloudfunctions2_function.proxy.service_config[0].direct_vpc_network_interface).network == "team" && one(google_cloudfunctions2_function.proxy.service_config[0].direct_vpc_network_interface).subnetwork == "proxy" && google_cloudfunctions2_function.proxy.service_config[0].direct_vpc_egress == "VPC_EGRESS_PRIVATE_RANGES_ONLY"
    error_message = "the proxy does not reach the network, or reaches OpenAI through it"
  }
  assert {
    condition     = length(google_cloudfunctions2_function.usage_sink.service_config[0].direct_vpc_network_interface) == 0 && length(google_cloudfunctions2_function.log_view.service_config[0].direct_vpc_network_interface) == 0
    error_message = "others are in the network too"
  }
}

run "everything_chosen" {
  command = plan

  variables {
    name                  = "second"
    public                = false
    openai_base_url       = "https://example.com/v1"
    functions             = { log_view = { concurrency = 7 } }
    ledger_retention_days = null
    deletion_protection   = false
  }

  assert {
    condition     = google_cloudfunctions2_function.proxy.name == "second-proxy" && google_bigquery_dataset.ledger.dataset_id == "second"
    error_message = "the name is not in every name"
  }
  assert {
    condition     = length(google_cloud_run_service_iam_member.proxy_public) == 0
    error_message = "public = false left the proxy public"
  }
  assert {
    condition     = google_cloudfunctions2_function.log_view.service_config[0].environment_variables["THREADS"] == "7" && google_cloudfunctions2_function.proxy.service_config[0].max_instance_request_concurrency == 80
    error_message = "functions does not merge with its defaults"
  }
  assert {
    condition     = google_cloudfunctions2_function.proxy.service_config[0].environment_variables["OPENAI_BASE_URL"] == "https://example.com/v1"
    error_message = "the proxy is not told where to forward to"
  }
  assert {
    condition     = !google_bigquery_table.usage_records.deletion_protection && google_bigquery_dataset.ledger.delete_contents_on_destroy
    error_message = "deletion_protection = false does not let the ledger go"
  }
}

run "access_file_in_a_bucket" {
  command = plan

  variables {
    access_file_bucket = true
  }

  assert {
    condition     = alltrue([for function in [google_cloudfunctions2_function.proxy, google_cloudfunctions2_function.log_view] : function.service_config[0].environment_variables["ACCESS_FILE"] == "gs://${google_storage_bucket.access_file[0].name}/${google_storage_bucket_object.first_access_file[0].name}"])
    error_message = "the functions are not told where the object is"
  }
  assert {
    condition     = google_storage_bucket.access_file[0].versioning[0].enabled && google_storage_bucket.access_file[0].uniform_bucket_level_access && google_storage_bucket.access_file[0].public_access_prevention == "enforced"
    error_message = "the bucket keeps no versions, or may be opened to the public"
  }
  assert {
    condition     = toset(keys(google_storage_bucket_iam_member.access_file_readers)) == toset(["log_view", "proxy"]) && !contains(keys(google_secret_manager_secret.secret), "access_file")
    error_message = "others read the object, or the secret is still there"
  }
  assert {
    condition     = length(google_cloudfunctions2_function.log_view.service_config[0].secret_volumes) == 0
    error_message = "log_view still mounts the secret"
  }
}

run "google_sign_in" {
  command = plan

  variables {
    google_sign_in = { domain = "usage.example.com", members = ["domain:example.com"] }
  }

  assert {
    condition     = google_compute_backend_service.page["this"].iap[0].enabled && length(google_compute_backend_service.api["this"].iap) == 0
    error_message = "SDKs would have to sign in with Google, or readers would not"
  }
  assert {
    condition     = one(google_compute_url_map.main["this"].path_matcher[0].path_rule).paths == toset(["/log", "/log/*"])
    error_message = "something else than the page asks for Google's sign-in"
  }
  assert {
    condition     = length(google_cloud_run_service_iam_member.iap_calls_proxy) == 0
    error_message = "Identity-Aware Proxy has a right that it does not need"
  }
}

run "google_sign_in_for_a_private_proxy" {
  command = plan

  variables {
    public         = false
    google_sign_in = { domain = "usage.example.com", members = ["group:finance@example.com"] }
  }

  assert {
    condition     = google_cloud_run_service_iam_member.iap_calls_proxy["this"].member == "serviceAccount:service-123456789012@gcp-sa-iap.iam.gserviceaccount.com"
    error_message = "Identity-Aware Proxy cannot call the proxy"
  }
}
