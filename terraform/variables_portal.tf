# Portal, CloudFront, WAF, alarms and logs.

variable "portal_package" {
  description = "Description that `plumbline package portal` writes beside its bundle."
  type        = string
  default     = "../dist/portal.json"
  nullable    = false

  validation {
    condition     = fileexists(var.portal_package)
    error_message = "There is no such file: run `plumbline package portal --out dist` first."
  }
}

variable "portal_instance_type" {
  description = "Size of a portal instance."
  type        = string
  default     = "t3.medium"
  nullable    = false
}

variable "portal_min_size" {
  description = "Portal instances at least."
  type        = number
  default     = 2
  nullable    = false
}

variable "portal_max_size" {
  description = "Portal instances at most."
  type        = number
  default     = 4
  nullable    = false
}

variable "origin_header_version" {
  description = "Raise it to give CloudFront and the load balancer a new common secret."
  type        = number
  default     = 1
  nullable    = false
}

variable "cloudfront_price_class" {
  description = "In which parts of the world CloudFront answers."
  type        = string
  default     = "PriceClass_100"
  nullable    = false
}

variable "waf_rate_limit" {
  description = "Requests that one address may send in five minutes."
  type        = number
  default     = 2000
  nullable    = false
}

variable "blocked_countries" {
  description = "Countries that get nothing, as ISO 3166 codes of two letters."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "alarm_emails" {
  description = "Who is told of alarms; each must confirm a mail of AWS once."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "silence_minutes" {
  description = "After how many minutes without a stored reading there is an alarm."
  type        = number
  default     = 15
  nullable    = false
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827 or more days."
  }
}

variable "audit" {
  description = "Recording of the account: CloudTrail, Config, GuardDuty. false where the account has it already."
  type = object({
    cloudtrail = bool
    config     = bool
    guardduty  = bool
  })
  default = {
    cloudtrail = true
    config     = true
    guardduty  = false
  }
  nullable = false
}
