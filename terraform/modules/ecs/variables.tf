variable "name_prefix" {
  description = "project-app-env."
  type        = string
  nullable    = false
}

variable "aws_region" {
  description = "Region of the log."
  type        = string
  nullable    = false
}

variable "vpc_id" {
  description = "VPC of the tasks."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Private subnets, in at least two zones."
  type        = list(string)
  nullable    = false
}

variable "task_cpu" {
  description = "CPU units of a task: 1024 are one virtual CPU."
  type        = number
  nullable    = false

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.task_cpu)
    error_message = "ecs_task_cpu is 256, 512, 1024, 2048 or 4096. Mosquitto has one thread: more than 1024 buys memory alone."
  }
}

variable "task_memory" {
  description = "Memory of a task in MiB."
  type        = number
  nullable    = false

  validation {
    condition = contains(lookup({
      "256"  = [512, 1024, 2048]
      "512"  = range(1024, 4097, 1024)
      "1024" = range(2048, 8193, 1024)
      "2048" = range(4096, 16385, 1024)
      "4096" = range(8192, 30721, 1024)
    }, tostring(var.task_cpu), []), var.task_memory)
    error_message = "Fargate has no task of ecs_task_cpu with this ecs_task_memory: 512 units go with 1024, 2048, 3072 or 4096 MiB."
  }
}

variable "desired_count" {
  description = "Tasks that always run."
  type        = number
  nullable    = false

  validation {
    condition     = var.desired_count >= 1 && floor(var.desired_count) == var.desired_count
    error_message = "At least one task must run (and one alone does not survive its zone)."
  }
}

variable "max_count" {
  description = "Tasks at most; as many slots for queues there are on EFS."
  type        = number
  nullable    = false

  validation {
    condition     = var.max_count >= var.desired_count
    error_message = "ecs_max_count must not be below ecs_desired_count."
  }

  validation {
    condition     = var.max_count <= 8
    error_message = "Cloud Map answers with eight addresses at most: a ninth task would not be drained."
  }
}

variable "cpu_architecture" {
  description = "X86_64 or ARM64, as the image was built."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "broker_cpu_architecture is X86_64 or ARM64."
  }
}

variable "image_tag" {
  description = "Tag of the broker's image in the repository that this module makes."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "broker_image_tag names one image: tags are never moved here, so not latest."
  }
}

variable "topics" {
  description = "Topic filters of the ingest session, as parsing has them."
  type        = list(string)
  nullable    = false
}

variable "ports" {
  description = "Ports that devices reach: 8883 with TLS, 1883 without."
  type        = set(number)
  nullable    = false
}

variable "namespace" {
  description = "Private DNS zone in which each task is found as tasks.<namespace>."
  type        = string
  nullable    = false
}

variable "target_group_arns" {
  description = "Target group of each port, by the port."
  type        = map(string)
  nullable    = false
}

variable "execution_role_arn" {
  description = "Role with which ECS starts the tasks."
  type        = string
  nullable    = false
}

variable "task_role_arn" {
  description = "Role of the tasks."
  type        = string
  nullable    = false
}

variable "passwords_url" {
  description = "s3://bucket/key of the devices' password file."
  type        = string
  nullable    = false
}

variable "max_queued_bytes" {
  description = "Payload that may wait for the drain, in bytes; held in memory."
  type        = number
  nullable    = false

  validation {
    # Each message costs about 350 bytes beside its payload, as much as a reading itself.
    condition     = var.max_queued_bytes >= 1048576 && var.max_queued_bytes * 2 <= var.task_memory * 1048576
    error_message = "broker_max_queued_bytes is 1 MiB to half of ecs_task_memory: waiting messages are kept in memory, with as much beside them."
  }
}

variable "log_retention_days" {
  description = "How long the broker's log is kept."
  type        = number
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key that encrypts secrets, queues and log."
  type        = string
  nullable    = false
}

variable "password_version" {
  description = "Raise it to give Plumbline's own users new passwords."
  type        = number
  nullable    = false

  validation {
    condition     = var.password_version >= 1 && floor(var.password_version) == var.password_version
    error_message = "broker_password_version is a whole number from 1 on."
  }
}
