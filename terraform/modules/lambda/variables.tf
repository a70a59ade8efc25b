variable "name_prefix" {
  description = "project-app-env."
  type        = string
  nullable    = false
}

variable "vpc_id" {
  description = "VPC of the functions."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Private subnets."
  type        = list(string)
  nullable    = false
}

variable "functions" {
  description = "The topology's functions, each with its name on AWS, its role and its environment."
  type = map(object({
    function_name = string
    description   = string
    handler       = string
    timeout_s     = number
    memory_mb     = number
    alone         = bool
    role_arn      = string
    environment   = map(string)
  }))
  nullable = false

  validation {
    condition     = alltrue([for function in var.functions : function.timeout_s >= 1 && function.timeout_s <= 900])
    error_message = "A function's timeout is 1 to 900 seconds."
  }

  validation {
    condition     = alltrue([for function in var.functions : function.memory_mb >= 128 && function.memory_mb <= 10240])
    error_message = "A function's memory is 128 to 10,240 MB."
  }

  validation {
    condition     = alltrue([for function in var.functions : can(regex("^[A-Za-z0-9_-]{1,64}$", function.function_name))])
    error_message = "A function's name has at most 64 letters, digits, hyphens and underscores."
  }
}

variable "runtime" {
  description = "Lambda's runtime, as the archive was built for it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^python3\\.1[1-9]$", var.runtime))
    error_message = "runtime is python3.11 or newer."
  }
}

variable "architecture" {
  description = "x86_64 or arm64, as the archive was built for it."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture is x86_64 or arm64."
  }
}

variable "archive" {
  description = "Where the functions' code lies on S3, and its SHA-256 in base64."
  type = object({
    bucket           = string
    key              = string
    version_id       = string
    source_code_hash = string
  })
  nullable = false
}

variable "event_sources" {
  description = "Which queue feeds which function, by the topology's name of the queue."
  type = map(object({
    function        = string
    queue_arn       = string
    fifo            = bool
    batch_size      = number
    window_s        = number
    max_concurrency = number
  }))
  nullable = false

  validation {
    condition     = alltrue([for source in var.event_sources : !source.fifo || (source.batch_size <= 10 && source.window_s == 0)])
    error_message = "From a FIFO queue Lambda takes at most 10 messages, and without a batching window."
  }

  validation {
    condition     = alltrue([for source in var.event_sources : source.fifo || source.batch_size <= 10 || source.window_s >= 1])
    error_message = "More than 10 messages from a standard queue need a batching window of at least a second."
  }

  validation {
    condition     = alltrue([for source in var.event_sources : source.batch_size >= 1 && source.batch_size <= 10000 && source.window_s <= 300])
    error_message = "A batch has 1 to 10,000 messages and a window at most 300 seconds."
  }

  validation {
    condition     = alltrue([for source in var.event_sources : source.max_concurrency >= 2 && source.max_concurrency <= 1000])
    error_message = "The concurrency of an event source is 2 to 1,000."
  }

  validation {
    condition     = alltrue([for source in var.event_sources : contains(keys(var.functions), source.function)])
    error_message = "An event source feeds a function that exists."
  }
}

variable "retries" {
  description = "Functions that are invoked asynchronously: how often and how long each is tried."
  type = map(object({
    max_retries = number
    max_age_s   = number
  }))
  nullable = false

  validation {
    condition     = alltrue([for retry in var.retries : retry.max_retries >= 0 && retry.max_retries <= 2])
    error_message = "Lambda retries an asynchronous invocation 0 to 2 times."
  }

  validation {
    condition     = alltrue([for retry in var.retries : retry.max_age_s >= 60 && retry.max_age_s <= 21600])
    error_message = "Lambda keeps an asynchronous event for 60 to 21,600 seconds."
  }
}

variable "failed_runs_arn" {
  description = "Queue for the events of runs that failed to the last."
  type        = string
  nullable    = false
}

variable "log_retention_days" {
  description = "How long the functions' logs are kept."
  type        = number
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key that encrypts the logs."
  type        = string
  nullable    = false
}
