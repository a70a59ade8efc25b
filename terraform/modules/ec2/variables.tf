variable "name_prefix" {
  description = "project-app-env."
  type        = string
  nullable    = false
}

variable "vpc_id" {
  description = "VPC of the instances."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Private subnets, in at least two zones."
  type        = list(string)
  nullable    = false
}

variable "instance_type" {
  description = "Size of an instance."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*\\.[a-z0-9]+$", var.instance_type))
    error_message = "portal_instance_type looks like t3.medium."
  }

  validation {
    condition     = can(regex("^([a-z]+[0-9]+g[a-z]*|a1)\\.", var.instance_type)) == (var.architecture == "arm64")
    error_message = "portal_instance_type and portal_architecture must go together: t3 is x86_64, t4g is arm64."
  }
}

variable "architecture" {
  description = "x86_64 or arm64, as the bundle was built for it."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "portal_architecture is x86_64 or arm64."
  }
}

variable "min_size" {
  description = "Instances at least."
  type        = number
  nullable    = false

  validation {
    condition     = var.min_size >= 1 && floor(var.min_size) == var.min_size
    error_message = "At least one instance must run (and one alone does not survive its zone)."
  }
}

variable "max_size" {
  description = "Instances at most."
  type        = number
  nullable    = false

  validation {
    condition     = var.max_size >= var.min_size
    error_message = "portal_max_size must not be below portal_min_size."
  }
}

variable "port" {
  description = "Port that the portal listens on; TLS."
  type        = number
  nullable    = false
}

variable "target_group_arn" {
  description = "Target group that the instances join."
  type        = string
  nullable    = false
}

variable "instance_profile_arn" {
  description = "Instance profile of the portal."
  type        = string
  nullable    = false
}

variable "bundle" {
  description = "The portal's bundle on S3 and its SHA-256."
  type        = object({ bucket = string, key = string, sha256 = string })
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.bundle.sha256))
    error_message = "The bundle's sha256 is 64 hexadecimal digits."
  }
}

variable "environment" {
  description = "Settings of the portal."
  type        = map(string)
  nullable    = false
}

variable "log_retention_days" {
  description = "How long the portal's log is kept."
  type        = number
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key that encrypts the log."
  type        = string
  nullable    = false
}
