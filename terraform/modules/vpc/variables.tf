variable "name_prefix" {
  description = "Begins or ends the name of everything: project-app-env."
  type        = string
  nullable    = false
}

variable "aws_region" {
  description = "Region, as the names of the endpoint services carry it."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "The endpoints serve this account's principals only."
  type        = string
  nullable    = false
}

variable "vpc_cidr" {
  description = "CIDR block of the VPC; the subnets are its 256th parts."
  type        = string
  nullable    = false

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && can(regex("/(1[6-9]|20)$", var.vpc_cidr))
    error_message = "vpc_cidr must be an IPv4 block of /16 to /20: AWS takes no larger VPC, and no subnet smaller than /28."
  }
}

variable "availability_zones" {
  description = "Zones of the subnets, one public and one private each."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.availability_zones) >= 2 && length(distinct(var.availability_zones)) == length(var.availability_zones)
    error_message = "At least two different zones are needed: Aurora, Redis and the load balancers ask for two."
  }

  validation {
    condition     = length(var.availability_zones) <= 9
    error_message = "At most nine zones: the tenth private subnet would begin where the numbering of the public ones ends."
  }

  validation {
    condition     = alltrue([for zone in var.availability_zones : startswith(zone, var.aws_region)])
    error_message = "Every zone must lie in aws_region."
  }
}

variable "private_access" {
  description = "How private components reach AWS: endpoints (no way to the internet) or nat."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["endpoints", "nat"], var.private_access)
    error_message = "private_access must be endpoints or nat."
  }
}

variable "endpoint_services" {
  description = "AWS services that private components call, each an interface endpoint in every zone."
  type        = set(string)
  nullable    = false
}

variable "flow_logs_enabled" {
  description = "Whether the VPC's flows are logged."
  type        = bool
  nullable    = false
}

variable "flow_logs_role_arn" {
  description = "Role that writes the flow logs."
  type        = string
  nullable    = false
}

variable "log_retention_days" {
  description = "How long flow logs are kept."
  type        = number
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key that encrypts the flow logs."
  type        = string
  nullable    = false
}
