# Schedules, functions and the broker. What is not here is in topology.json.

variable "ingestion_schedule_expression" {
  description = "EventBridge schedule for ingestion."
  type        = string
  default     = "rate(5 minutes)"
  nullable    = false
}

variable "sync_schedule_expression" {
  description = "EventBridge schedule for data sync."
  type        = string
  default     = "rate(5 minutes)"
  nullable    = false
}

variable "lambda_parsing_memory" {
  description = "Memory for Lambda_Parsing function, MB."
  type        = number
  default     = 512
  nullable    = false
}

variable "lambda_parsing_timeout" {
  description = "Timeout for Lambda_Parsing function, seconds."
  type        = number
  default     = 60
  nullable    = false

  validation {
    # A run that ends after the next one should have begun makes that one wait.
    condition     = var.lambda_parsing_timeout >= 20 && var.lambda_parsing_timeout <= 300
    error_message = "lambda_parsing_timeout is 20 to 300 seconds: parsing stops 10 s before it, and runs every five minutes."
  }
}

variable "lambda_package" {
  description = "Description that `plumbline package lambdas` writes beside its archive."
  type        = string
  default     = "../dist/lambdas.json"
  nullable    = false

  validation {
    condition     = fileexists(var.lambda_package)
    error_message = "There is no such file: run `plumbline package lambdas --out dist` first."
  }
}

variable "ecs_task_cpu" {
  description = "CPU units for ECS task."
  type        = number
  default     = 512
  nullable    = false
}

variable "ecs_task_memory" {
  description = "Memory for ECS task, MiB."
  type        = number
  default     = 1024
  nullable    = false
}

variable "ecs_desired_count" {
  description = "Broker tasks that always run."
  type        = number
  default     = 2
  nullable    = false
}

variable "ecs_max_count" {
  description = "Broker tasks at most, at most eight."
  type        = number
  default     = 4
  nullable    = false
}

variable "broker_image_tag" {
  description = "Tag of the broker's image in this deployment's repository."
  type        = string
  nullable    = false
}

variable "broker_cpu_architecture" {
  description = "X86_64 or ARM64, as the image was built."
  type        = string
  default     = "X86_64"
  nullable    = false
}

variable "broker_max_queued_bytes" {
  description = "Payload that may wait in a broker task, bytes; at most half of ecs_task_memory."
  type        = number
  default     = 268435456
  nullable    = false
}

variable "broker_password_version" {
  description = "Raise it to give Plumbline's own users at the broker new passwords."
  type        = number
  default     = 1
  nullable    = false
}

variable "broker_ca_pem" {
  description = "Certificate authority of the broker, PEM; empty for a public one."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.broker_ca_pem == "" || can(regex("-----BEGIN CERTIFICATE-----", var.broker_ca_pem))
    error_message = "broker_ca_pem is PEM text: file(\"ca.pem\")."
  }

  validation {
    # Lambda's environment has 4 KB in all.
    condition     = length(var.broker_ca_pem) <= 2560
    error_message = "broker_ca_pem has at most 2,560 characters: one certificate with an EC or 2048-bit RSA key."
  }
}

variable "mqtt_plain_enabled" {
  description = "Whether devices may also connect to port 1883, without encryption."
  type        = bool
  default     = false
  nullable    = false
}

variable "device_cidrs" {
  description = "From where devices connect."
  type        = list(string)
  default     = ["0.0.0.0/0"]
  nullable    = false

  validation {
    condition     = length(var.device_cidrs) > 0 && alltrue([for cidr in var.device_cidrs : can(cidrnetmask(cidr))])
    error_message = "device_cidrs holds IPv4 blocks such as 203.0.113.0/24."
  }

  validation {
    # Property 4.3: what crosses the internet is encrypted.
    condition     = !var.mqtt_plain_enabled || alltrue([for cidr in var.device_cidrs : !endswith(cidr, "/0")])
    error_message = "With mqtt_plain_enabled, device_cidrs must name the networks of the devices: passwords would cross the whole internet in the clear."
  }
}

variable "mqtt_topics" {
  description = "Topic filters that parsing drains; empty: those of topology.json, which is all that Plumbline reads."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for topic in var.mqtt_topics : can(regex("^[^,\\s]+$", topic))])
    error_message = "mqtt_topics holds filters without commas and blanks."
  }
}
