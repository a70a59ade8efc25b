variable "name_prefix" {
  description = "project-app-env."
  type        = string
  nullable    = false
}

variable "schedules" {
  description = "What runs by the clock, by the topology's name."
  type = map(object({
    expression    = string
    function_name = string
    function_arn  = string
    max_retries   = number
    max_age_s     = number
  }))
  nullable = false

  validation {
    condition = alltrue([
      for schedule in var.schedules :
      can(regex("^(rate\\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\\)|cron\\(.+\\))$", schedule.expression))
    ])
    error_message = "A schedule is rate(5 minutes), rate(1 day) or cron(…); with 1 the unit is singular."
  }

  validation {
    condition     = alltrue([for schedule in var.schedules : schedule.max_retries >= 0 && schedule.max_retries <= 185])
    error_message = "EventBridge retries 0 to 185 times."
  }

  validation {
    condition     = alltrue([for schedule in var.schedules : schedule.max_age_s >= 60 && schedule.max_age_s <= 86400])
    error_message = "EventBridge keeps an event for 60 to 86,400 seconds."
  }
}

variable "stopping_tasks" {
  description = "The ECS service whose stopping tasks start a function, and that function."
  type = object({
    cluster_arn   = string
    service_name  = string
    function_name = string
    function_arn  = string
  })
  nullable = false
}

variable "failed_runs_arn" {
  description = "Queue for events that could not be delivered."
  type        = string
  nullable    = false
}
