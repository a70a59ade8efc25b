variable "name_prefix" {
  description = "project-app-env."
  type        = string
  nullable    = false
}

variable "domain_name" {
  description = "Name of the portal."
  type        = string
  nullable    = false
}

variable "hosted_zone_id" {
  description = "Route 53 zone of that name."
  type        = string
  nullable    = false
}

variable "origin_name" {
  description = "Name of the load balancer, as its certificate has it."
  type        = string
  nullable    = false
}

variable "origin_header" {
  description = "Header by which the load balancer knows this distribution."
  type        = object({ name = string, value = string })
  nullable    = false
}

variable "web_acl_arn" {
  description = "Web ACL that filters requests."
  type        = string
  nullable    = false
}

variable "price_class" {
  description = "In which parts of the world CloudFront answers."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["PriceClass_100", "PriceClass_200", "PriceClass_All"], var.price_class)
    error_message = "cloudfront_price_class is PriceClass_100, PriceClass_200 or PriceClass_All."
  }
}

variable "blocked_countries" {
  description = "Countries that get nothing, as ISO 3166 codes of two letters."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for country in var.blocked_countries : can(regex("^[A-Z]{2}$", country))])
    error_message = "A country is two capital letters: KP."
  }
}
