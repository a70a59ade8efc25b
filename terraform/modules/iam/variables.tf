variable "name_prefix" {
  description = "project-app-env."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key of the secrets."
  type        = string
  nullable    = false
}

variable "functions" {
  description = "What each function may use. Empty lists and strings: nothing of that kind."
  type = map(object({
    function_arn     = string
    log_group_arn    = string
    consumes         = list(string) # ARNs of queues
    sends_to         = list(string) # ARNs of queues
    counts           = list(string) # ARNs of queues
    database_users   = list(string) # ARNs dbuser:cluster/user
    cache_users      = list(string) # ARNs of Redis users
    secrets          = list(string) # ARNs of secrets with our own key
    password_objects = list(object({ bucket_arn = string, key = string }))
  }))
  nullable = false
}

variable "replication_group_arn" {
  description = "The Redis that cache users connect to."
  type        = string
  nullable    = false
}

variable "broker" {
  description = "What the broker's tasks read and write."
  type = object({
    log_group_arn       = string
    repository_arn      = string
    secret_arns         = list(string)
    file_system_arn     = string
    access_point_arn    = string
    password_bucket_arn = string
    password_object_key = string
  })
  nullable = false
}

variable "portal" {
  description = "What the portal's instances read and write."
  type = object({
    log_group_arn      = string
    bundle_arn         = string
    command_queue_arns = list(string)
    counted_queue_arns = list(string)
    database_user_arn  = string
    cache_user_arn     = string
  })
  nullable = false
}

variable "flow_logs_enabled" {
  description = "Whether the VPC's flows are logged."
  type        = bool
  nullable    = false
}

variable "flow_log_group_arn" {
  description = "Log group of the VPC's flow logs; empty where they are off."
  type        = string
  nullable    = false
}
