variable "name_prefix" {
  description = "project-app-env."
  type        = string
  nullable    = false
}

variable "vpc_id" {
  description = "VPC of the cache."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Private subnets, in at least two zones."
  type        = list(string)
  nullable    = false
}

variable "node_type" {
  description = "Size of a node."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^cache\\.[a-z0-9]+\\.[a-z0-9]+$", var.node_type))
    error_message = "redis_node_type looks like cache.t3.micro."
  }

  validation {
    condition     = !can(regex("^cache\\.(t1|m1|m2|c1)\\.", var.node_type))
    error_message = "Nodes of the first generations have no encryption and no automatic failover."
  }
}

variable "engine_version" {
  description = "Redis' version."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^7\\.[0-9]+$", var.engine_version))
    error_message = "redis_engine_version is 7.0 or 7.1: IAM users need 7, and ElastiCache's Redis ends there."
  }
}

variable "node_count" {
  description = "Nodes: one primary, the others replicas that take over."
  type        = number
  nullable    = false

  validation {
    condition     = var.node_count >= 2 && var.node_count <= 6
    error_message = "redis_node_count is 2 to 6: automatic failover needs a replica."
  }
}

variable "users" {
  description = "Users that sign in with a token of IAM, each with its Redis ACL."
  type        = map(string)
  nullable    = false

  validation {
    condition     = alltrue([for user in keys(var.users) : can(regex("^[a-z][a-z0-9-]{0,39}$", user))])
    error_message = "A user's name is at most 40 lower-case letters, digits and hyphens."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts what a node writes to disk."
  type        = string
  nullable    = false
}
