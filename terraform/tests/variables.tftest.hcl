# Every wrong value is told before anything is made: each run has one for every variable that it names.

mock_provider "google" {}
mock_provider "archive" {}

variables {
  project     = "acme-team"
  alert_email = "ops@acme.example"
}

run "wrong_1" {
  command = plan

  variables {
    google_sign_in         = { domain = "Usage.example.com", members = ["domain:example.com"] }
    project                = "Acme Team"
    alert_email            = "ops"
    region                 = "us-central1-a"
    name                   = "a"
    openai_base_url        = "http://example.com/v1"
    upstream_keys          = ["Research"]
    vpc                    = { network = "team", subnetwork = "" }
    functions              = { proxy = { concurrency = 0 } }
    ledger_retention_days  = 31
    message_retention_days = 0
    labels                 = { Team = "a" }
  }

  expect_failures = [var.google_sign_in, var.project, var.alert_email, var.region, var.name, var.openai_base_url, var.upstream_keys, var.vpc, var.functions, var.ledger_retention_days, var.message_retention_days, var.labels]
}

run "wrong_2" {
  command = plan

  variables {
    google_sign_in         = { domain = "usage", members = ["allUsers"] }
    project                = "123456789012"
    alert_email            = "ops@acme"
    region                 = "US"
    name                   = "OpenAI"
    openai_base_url        = ""
    upstream_keys          = ["a_b", "a-b"]
    vpc                    = { network = "", subnetwork = "proxy" }
    functions              = { proxy = { concurrency = 1001 } }
    ledger_retention_days  = 90.5
    message_retention_days = 32
    labels                 = { team = "A B" }
  }

  expect_failures = [var.google_sign_in, var.project, var.alert_email, var.region, var.name, var.openai_base_url, var.upstream_keys, var.vpc, var.functions, var.ledger_retention_days, var.message_retention_days, var.labels]
}

run "wrong_3" {
  command = plan

  variables {
    google_sign_in         = { domain = "https://usage.example.com", members = [] }
    project                = "acme"
    alert_email            = "a@b.example c@d.example"
    name                   = "a-name-that-is-too-long"
    functions              = { proxy = { cpu = 0.5 } }
    ledger_retention_days  = 0
    message_retention_days = 1.5
  }

  expect_failures = [var.google_sign_in, var.project, var.alert_email, var.name, var.functions, var.ledger_retention_days, var.message_retention_days]
}

run "wrong_4" {
  command = plan

  variables {
    name      = "ends-"
    functions = { log_view = { memory = "512" } }
  }

  expect_failures = [var.name, var.functions]
}

run "wrong_5" {
  command = plan

  variables {
    name      = "two--hyphens"
    functions = { usage_sink = { min_instances = 3, max_instances = 2 } }
  }

  expect_failures = [var.name, var.functions]
}

run "wrong_6" {
  command = plan

  variables {
    functions = { usage_sink = { concurrency = 1.5 } }
  }

  expect_failures = [var.functions]
}
