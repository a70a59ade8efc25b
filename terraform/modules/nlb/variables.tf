variable "name_prefix" {
  description = "project-app-env."
  type        = string
  nullable    = false

  validation {
    condition     = length("tg-${var.name_prefix}-ecs-broker") <= 32
    error_message = "Names of load balancers and target groups have at most 32 characters: project, app and env together at most 18."
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

variable "ports" {
  description = "Ports that devices reach."
  type        = set(number)
  nullable    = false
}

variable "deletion_protection" {
  description = "Whether the load balancer can be deleted only after this was switched off."
  type        = bool
  nullable    = false
}
