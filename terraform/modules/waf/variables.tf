variable "name_prefix" {
  description = "project-app-env."
  type        = string
  nullable    = false
}

variable "rate_limit" {
  description = "Requests that one address may send in five minutes."
  type        = number
  nullable    = false

  validation {
    condition     = var.rate_limit >= 10 && var.rate_limit <= 2000000000
    error_message = "waf_rate_limit is 10 to 2,000,000,000 requests in five minutes."
  }
}

variable "log_retention_days" {
  description = "How long the log is kept."
  type        = number
  nullable    = false
}
