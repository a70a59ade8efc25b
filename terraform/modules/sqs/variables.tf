variable "name_prefix" {
  description = "project-app-env."
  type        = string
  nullable    = false
}

variable "queues" {
  description = "The topology's queues by name; times in seconds."
  type = map(object({
    fifo                    = bool
    visibility_timeout_s    = number
    retention_s             = number
    max_receive_count       = number
    dead_letter_retention_s = number
  }))
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.queues) : can(regex("^[a-z0-9-]{1,30}$", name))])
    error_message = "A queue's name is lower-case letters, digits and hyphens; .fifo is added where it belongs."
  }

  validation {
    condition     = alltrue([for queue in var.queues : queue.visibility_timeout_s >= 0 && queue.visibility_timeout_s <= 43200])
    error_message = "SQS allows a visibility timeout of 0 to 43,200 seconds."
  }

  validation {
    condition     = alltrue([for queue in var.queues : queue.retention_s >= 60 && queue.dead_letter_retention_s <= 1209600])
    error_message = "SQS keeps messages for 60 to 1,209,600 seconds."
  }

  validation {
    # A dead letter keeps the time at which it was first sent.
    condition     = alltrue([for queue in var.queues : queue.dead_letter_retention_s > queue.retention_s])
    error_message = "A dead letter must be kept longer than a message, or it may be gone when it arrives."
  }

  validation {
    condition     = alltrue([for queue in var.queues : queue.max_receive_count >= 5 && queue.max_receive_count <= 1000])
    error_message = "max_receive_count is 5 to 1,000: Lambda's own throttling uses receives up."
  }

  validation {
    condition = alltrue([
      for name, timeout_s in var.consumer_timeouts_s : var.queues[name].visibility_timeout_s >= 6 * timeout_s
    ])
    error_message = "A queue's visibility timeout must be at least six times the timeout of the function that it feeds."
  }
}

variable "consumer_timeouts_s" {
  description = "Timeout of the function that a queue feeds, by queue."
  type        = map(number)
  nullable    = false
}

variable "rule_arns" {
  description = "EventBridge rules whose undelivered events go to the queue of failed runs."
  type        = list(string)
  nullable    = false
}
