variable "name_prefix" {
  description = "project-app-env."
  type        = string
  nullable    = false

  validation {
    condition     = length("alb-${var.name_prefix}-portal") <= 32
    error_message = "Names of load balancers and target groups have at most 32 characters."
  }
}

variable "vpc_id" {
  description = "VPC of the targets."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Public subnets."
  type        = list(string)
  nullable    = false
}

variable "origin_name" {
  description = "Name by which CloudFront reaches the load balancer; its certificate is for this name."
  type        = string
  nullable    = false
}

variable "hosted_zone_id" {
  description = "Route 53 zone of that name."
  type        = string
  nullable    = false
}

variable "origin_header" {
  description = "Header that CloudFront adds; requests without it are refused."
  type        = object({ name = string, value = string })
  nullable    = false
}

variable "target_port" {
  description = "Port of the portal's instances; TLS."
  type        = number
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether the load balancer can be deleted only after this was switched off."
  type        = bool
  nullable    = false
}

variable "access_log_bucket" {
  description = "Bucket for the access log."
  type        = string
  nullable    = false
}
