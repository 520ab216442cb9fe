variable "project" {
  description = "The Google Cloud project that everything is made in; billing must be enabled."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project must be a project id: 6 to 30 lower-case letters, digits and hyphens. The number or the display name is not the id."
  }
}

variable "alert_email" {
  description = "Who is told when usage events fail, a model has no price, or a budget is used up."
  type        = string

  validation {
    condition     = can(regex("^[^@[:space:]]+@[^@[:space:]]+\\.[^@[:space:]]+$", var.alert_email))
    error_message = "alert_email must be one e-mail address."
  }
}

variable "region" {
  description = "Where the functions run and the ledger lies. A ledger cannot be moved later."
  type        = string
  default     = "us-central1"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be a region such as us-central1; a zone (us-central1-a) or a multi-region (US) is none."
  }
}

variable "name" {
  description = "The first part of every resource's name; another name is another deployment beside this one."
  type        = string
  default     = "openai-proxy"

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9]){1,17}$", var.name)) && length(var.name) <= 18
    error_message = "name must be 2 to 18 lower-case letters, digits and single hyphens: a service account's id holds 30 characters, and -usage-sink follows."
  }
}

variable "public" {
  description = "Whether everybody may call the proxy, which then checks its own keys. If false, callers need run.invoker on it too."
  type        = bool
  default     = true
}

variable "google_sign_in" {
  description = "Google's sign-in for /log, by Identity-Aware Proxy on a load balancer, which is billed while idle: the domain that will lead to it, and who may come in (user:, group:, domain:). null: keys only."
  type = object({
    domain  = string
    members = set(string)
  })
  default = null

  validation {
    condition     = var.google_sign_in == null || can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z]{2,63}$", var.google_sign_in.domain))
    error_message = "google_sign_in.domain must be a domain name in small letters, as usage.example.com."
  }

  validation {
    condition     = var.google_sign_in == null || try(length(var.google_sign_in.members) > 0 && alltrue([for member in var.google_sign_in.members : can(regex("^(user|group|domain):[^[:space:]]+$", member))]), false)
    error_message = "google_sign_in.members must be user:, group: or domain: and an address or a domain, at least one. allUsers would take the sign-in away."
  }
}

variable "openai_base_url" {
  description = "Where requests are forwarded to, as in the SDK; null is OpenAI."
  type        = string
  default     = null

  validation {
    condition     = var.openai_base_url == null || can(regex("^https://[^[:space:]]+$", var.openai_base_url))
    error_message = "openai_base_url must begin with https://, because the team's key travels there."
  }
}

variable "access_file_bucket" {
  description = "Whether the access file is an object of a bucket instead of a secret, which holds 64 KiB: some 300 users."
  type        = bool
  default     = false
}

variable "upstream_keys" {
  description = "Names of keys at OpenAI that teams have for themselves, as upstream_key in the access file; `make secrets KEY=NAME` sends each."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.upstream_keys : can(regex("^[a-z0-9][a-z0-9_-]{0,63}$", name))])
    error_message = "upstream_keys must be 1 to 64 lower-case letters, digits, hyphens and underscores each, as in the access file."
  }

  validation {
    condition     = length(distinct([for name in var.upstream_keys : replace(name, "_", "-")])) == length(var.upstream_keys)
    error_message = "upstream_keys must differ in more than _ and -: a secret's id has hyphens only."
  }
}

variable "rate_limit_redis" {
  description = "Whether all instances of the proxy count each user's limits together in a Redis or Valkey of yours; `make redis` sends its address. If false, each counts for itself."
  type        = bool
  default     = false
}

variable "vpc" {
  description = "The network and the subnetwork by which the proxy reaches private addresses, as that of Redis; null is none."
  type        = object({ network = string, subnetwork = string })
  default     = null

  validation {
    condition     = var.vpc == null || try(length(var.vpc.network) > 0 && length(var.vpc.subnetwork) > 0, false)
    error_message = "vpc must name a network and a subnetwork of it in the region, of /26 or larger, as { network = \"default\", subnetwork = \"default\" }."
  }
}

variable "functions" {
  description = "The size of each function. cpu is in vCPU; concurrency is requests at a time in one instance; min_instances above 0 removes cold starts and is billed while idle."
  type = object({
    proxy = optional(object({
      cpu           = optional(number, 1)
      memory        = optional(string, "512Mi")
      concurrency   = optional(number, 80)
      min_instances = optional(number, 0)
      max_instances = optional(number, 20)
    }), {})
    usage_sink = optional(object({
      cpu           = optional(number, 1)
      memory        = optional(string, "512Mi")
      concurrency   = optional(number, 40)
      min_instances = optional(number, 0)
      max_instances = optional(number, 5)
    }), {})
    log_view = optional(object({
      cpu           = optional(number, 1)
      memory        = optional(string, "512Mi")
      concurrency   = optional(number, 20)
      min_instances = optional(number, 0)
      max_instances = optional(number, 5)
    }), {})
  })
  default = {}

  validation {
    condition     = alltrue([for size in values(var.functions) : size.concurrency >= 1 && size.concurrency <= 1000 && floor(size.concurrency) == size.concurrency])
    error_message = "concurrency must be a whole number from 1 to 1000."
  }

  validation {
    condition     = alltrue([for size in values(var.functions) : size.concurrency == 1 || size.cpu >= 1])
    error_message = "concurrency above 1 needs a cpu of at least 1; the platform refuses it otherwise."
  }

  validation {
    condition     = alltrue([for size in values(var.functions) : can(regex("^[1-9][0-9]*(Mi|Gi)$", size.memory))])
    error_message = "memory must be a whole number with Mi or Gi, as 512Mi."
  }

  validation {
    condition     = alltrue([for size in values(var.functions) : size.min_instances >= 0 && size.min_instances <= size.max_instances && size.max_instances >= 1])
    error_message = "min_instances must be from 0 to max_instances, and max_instances at least 1."
  }
}

variable "ledger_retention_days" {
  description = "After how many days a day of the ledger is deleted; null keeps it for ever."
  type        = number
  default     = 1096 # three years and the day that a leap year adds

  validation {
    condition     = var.ledger_retention_days == null || try(var.ledger_retention_days >= 32 && floor(var.ledger_retention_days) == var.ledger_retention_days, false)
    error_message = "ledger_retention_days must be a whole number of at least 32, so that a month can still be charged back, or null."
  }
}

variable "message_retention_days" {
  description = "How long an event waits for the sink, and a dead letter for a person, before Pub/Sub deletes it."
  type        = number
  default     = 31

  validation {
    condition     = var.message_retention_days >= 1 && var.message_retention_days <= 31 && floor(var.message_retention_days) == var.message_retention_days
    error_message = "message_retention_days must be a whole number from 1 to 31, which is Pub/Sub's limit."
  }
}

variable "labels" {
  description = "Labels on everything that can have some."
  type        = map(string)
  default     = { app = "openai-proxy" }

  validation {
    condition     = alltrue([for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))])
    error_message = "labels must be lower-case letters, digits, _ and -, at most 63 of them; a key begins with a letter."
  }
}

variable "deletion_protection" {
  description = "Whether `terraform destroy` must stop at the ledger. Set to false, apply, and only then destroy, to lose it."
  type        = bool
  default     = true
}
