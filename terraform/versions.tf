terraform {
  required_version = ">= 1.11" # write-only arguments; locks of the state in S3

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0" # the one that the plan was tried with
    }
  }
}
