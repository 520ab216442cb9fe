terraform {
  required_version = ">= 1.11" # write-only arguments: a secret's value never reaches the state

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.21, < 9.0" # Direct VPC egress of functions
    }
    archive = {
      source  = "hashicorp/archive"
      version = ">= 2.7, < 3.0"
    }
  }
}

provider "google" {
  project        = var.project
  region         = var.region
  default_labels = var.labels
}
