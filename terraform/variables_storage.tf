# Aurora and Redis.

variable "aurora_min_capacity" {
  description = "Minimum Aurora capacity, ACU."
  type        = number
  default     = 0.5
  nullable    = false
}

variable "aurora_max_capacity" {
  description = "Maximum Aurora capacity, ACU."
  type        = number
  default     = 2
  nullable    = false
}

variable "aurora_engine_version" {
  description = "Aurora PostgreSQL's version; the default has long-term support."
  type        = string
  default     = "15.10"
  nullable    = false
}

variable "aurora_instance_count" {
  description = "Aurora instances: one writer, the others readers."
  type        = number
  default     = 2
  nullable    = false
}

variable "aurora_backup_retention_days" {
  description = "How far back a point-in-time restore reaches."
  type        = number
  default     = 7
  nullable    = false
}

variable "redis_node_type" {
  description = "Size of a Redis node."
  type        = string
  default     = "cache.t3.micro"
  nullable    = false
}

variable "redis_engine_version" {
  description = "Redis' version."
  type        = string
  default     = "7.1"
  nullable    = false
}

variable "redis_node_count" {
  description = "Redis nodes: one primary, the others replicas."
  type        = number
  default     = 2
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether database, load balancers and buckets can be deleted only after this was switched off."
  type        = bool
  default     = false
  nullable    = false
}
