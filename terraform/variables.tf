# Project and network. Other topics: variables_*.tf.

variable "project" {
  description = "Project name."
  type        = string
  default     = "tilt"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*$", var.project))
    error_message = "project is lower-case letters and digits, a letter first: it is part of every name."
  }
}

variable "app" {
  description = "Application name."
  type        = string
  default     = "sensor"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*$", var.app))
    error_message = "app is lower-case letters and digits, a letter first."
  }
}

variable "env" {
  description = "Environment name."
  type        = string
  default     = "lab"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*$", var.env))
    error_message = "env is lower-case letters and digits, a letter first."
  }

  validation {
    # tg-…-ecs-broker and alb-…-portal have at most 32 characters.
    condition     = length("${var.project}-${var.app}-${var.env}") <= 18
    error_message = "project-app-env has at most 18 characters: names of load balancers and target groups are cut at 32."
  }
}

variable "aws_region" {
  description = "Region of everything but CloudFront."
  type        = string
  default     = "us-east-1"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "aws_region looks like us-east-1."
  }
}

variable "allowed_account_ids" {
  description = "Accounts that may be changed; guards against a wrong profile. Empty: any."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.allowed_account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "An account id has twelve digits."
  }
}

variable "vpc_cidr" {
  description = "CIDR block of the VPC, /16 to /20; the subnets are its 256th parts."
  type        = string
  default     = "10.0.0.0/16"
  nullable    = false
}

variable "availability_zones" {
  description = "Availability zones, at least two."
  type        = list(string)
  default     = ["us-east-1a", "us-east-1b"]
  nullable    = false
}

variable "private_access" {
  description = "How private components reach AWS: endpoints (no way to the internet) or nat."
  type        = string
  default     = "endpoints"
  nullable    = false
}

variable "flow_logs_enabled" {
  description = "Whether the VPC's flows are logged."
  type        = bool
  default     = false
  nullable    = false
}

variable "domain_name" {
  description = "Name of the portal, such as tilt.example.com; devices connect to mqtt.<name>."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain_name))
    error_message = "domain_name is a DNS name in lower case, such as tilt.example.com."
  }
}

variable "hosted_zone_id" {
  description = "Public Route 53 zone that domain_name lies in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Z0-9]{8,32}$", var.hosted_zone_id))
    error_message = "hosted_zone_id looks like Z0123456789ABCDEFGHIJ."
  }
}

variable "common_tags" {
  description = "Tags of all resources."
  type        = map(string)
  default = {
    Project     = "TiltSensor"
    Environment = "Lab"
    CreatedBy   = "Plumbline"
    ManagedBy   = "Terraform"
  }
  nullable = false
}
