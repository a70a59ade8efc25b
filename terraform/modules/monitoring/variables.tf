variable "name_prefix" {
  description = "project-app-env."
  type        = string
  nullable    = false
}

variable "aws_region" {
  description = "Region of the metrics."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "Account, as bucket names and policies carry it."
  type        = string
  nullable    = false
}

variable "functions" {
  description = "The functions' names on AWS, by the topology's name."
  type        = map(string)
  nullable    = false
}

variable "schedules" {
  description = "Functions that run by the clock: period in seconds, by the topology's name of the function."
  type        = map(number)
  nullable    = false
}

variable "queues" {
  description = "Names on AWS of each queue and its dead-letter queue, by the topology's name."
  type        = map(object({ name = string, dead_letter_name = string }))
  nullable    = false
}

variable "failed_runs_name" {
  description = "Queue of failed runs."
  type        = string
  nullable    = false
}

variable "broker" {
  description = "The broker's service and its load balancer."
  type = object({
    cluster_name   = string
    service_name   = string
    load_balancer  = string
    target_group   = string
    desired_count  = number
    file_system_id = string
  })
  nullable = false
}

variable "portal" {
  description = "The portal's group, load balancer, distribution and web ACL."
  type = object({
    autoscaling_group = string
    load_balancer     = string
    target_group      = string
    distribution_id   = string
    web_acl_name      = string
  })
  nullable = false
}

variable "aurora_cluster" {
  description = "Identifier of the database cluster."
  type        = string
  nullable    = false
}

variable "redis_nodes" {
  description = "Ids of the cache's nodes."
  type        = list(string)
  nullable    = false
}

variable "alarm_emails" {
  description = "Who is told of alarms; each must confirm a mail of AWS once."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "alarm_emails holds e-mail addresses."
  }
}

variable "silence_minutes" {
  description = "After how many minutes without a stored reading there is an alarm."
  type        = number
  nullable    = false

  validation {
    condition     = var.silence_minutes >= 10 && var.silence_minutes <= 1440
    error_message = "silence_minutes is 10 (two runs of parsing) to 1,440."
  }
}

variable "audit" {
  description = "Recording of the account: CloudTrail, Config, GuardDuty. Off where the account has it already."
  type = object({
    cloudtrail = bool
    config     = bool
    guardduty  = bool
  })
  nullable = false
}

variable "log_retention_days" {
  description = "How long access logs and the audit's records are kept."
  type        = number
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key that encrypts alarms on their way."
  type        = string
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether the bucket of logs is kept when it is not empty."
  type        = bool
  nullable    = false
}
