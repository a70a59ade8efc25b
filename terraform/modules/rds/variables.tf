variable "name_prefix" {
  description = "project-app-env."
  type        = string
  nullable    = false
}

variable "vpc_id" {
  description = "VPC of the cluster."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Private subnets, in at least two zones."
  type        = list(string)
  nullable    = false
}

variable "engine_version" {
  description = "Aurora PostgreSQL's version."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^1[5-9]\\.[0-9]+$", var.engine_version))
    error_message = "engine_version must be major.minor, PostgreSQL 15 or newer: 15.10."
  }
}

variable "min_capacity" {
  description = "Aurora capacity units at least."
  type        = number
  nullable    = false

  validation {
    condition     = var.min_capacity >= 0.5 && var.min_capacity <= 256 && floor(var.min_capacity * 2) == var.min_capacity * 2
    error_message = "aurora_min_capacity is 0.5 to 256 in steps of 0.5; at 0 the cluster would sleep and the first batch of each interval wait for it."
  }
}

variable "max_capacity" {
  description = "Aurora capacity units at most."
  type        = number
  nullable    = false

  validation {
    condition     = var.max_capacity >= 1 && var.max_capacity <= 256 && floor(var.max_capacity * 2) == var.max_capacity * 2
    error_message = "aurora_max_capacity is 1 to 256 in steps of 0.5."
  }

  validation {
    condition     = var.max_capacity >= var.min_capacity
    error_message = "aurora_max_capacity must not be below aurora_min_capacity."
  }
}

variable "instance_count" {
  description = "Instances: one writer, the others readers that take over."
  type        = number
  nullable    = false

  validation {
    condition     = var.instance_count >= 1 && var.instance_count <= 15 && floor(var.instance_count) == var.instance_count
    error_message = "A cluster has 1 to 15 instances (and one alone does not survive its zone)."
  }
}

variable "backup_retention_days" {
  description = "How far back a point-in-time restore reaches."
  type        = number
  nullable    = false

  validation {
    condition     = var.backup_retention_days >= 1 && var.backup_retention_days <= 35
    error_message = "Aurora keeps backups for 1 to 35 days."
  }
}

variable "deletion_protection" {
  description = "Whether the cluster can be deleted only after this was switched off; also whether a last snapshot is kept."
  type        = bool
  nullable    = false
}

variable "database_name" {
  description = "Name of the database."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key that encrypts the data, the snapshots and the master user's secret."
  type        = string
  nullable    = false
}

variable "log_retention_days" {
  description = "How long PostgreSQL's log is kept."
  type        = number
  nullable    = false
}
