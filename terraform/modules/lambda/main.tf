resource "aws_security_group" "lambda" {
  for_each = var.functions

  name        = "${var.name_prefix}-lambda-${replace(each.key, "_", "-")}-sg"
  description = each.value.description
  vpc_id      = var.vpc_id

  tags = { Name = "sg-${var.name_prefix}-lambda-${replace(each.key, "_", "-")}" }
}

resource "aws_cloudwatch_log_group" "lambda" {
  for_each = var.functions

  name              = "/aws/lambda/${each.value.function_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_lambda_function" "main" {
  # checkov:skip=CKV_AWS_50: would need an endpoint of its own in the private subnets; each log line has the request id
  # checkov:skip=CKV_AWS_116: queues have dead-letter queues, scheduled runs a destination; the others are invoked by people
  # checkov:skip=CKV_AWS_173: no secret is in it, only where secrets are; Lambda encrypts it with its own key
  # checkov:skip=CKV_AWS_272: the archive is pinned by version and checksum, in a bucket that only the deployment writes

  for_each = var.functions

  function_name = each.value.function_name
  description   = each.value.description
  role          = each.value.role_arn
  runtime       = var.runtime
  architectures = [var.architecture]
  handler       = each.value.handler
  timeout       = each.value.timeout_s
  memory_size   = each.value.memory_mb

  s3_bucket         = var.archive.bucket
  s3_key            = var.archive.key
  s3_object_version = var.archive.version_id
  source_code_hash  = var.archive.source_code_hash

  # Two runs of parsing would drain one session, two of maintenance make one partition.
  reserved_concurrent_executions = each.value.alone ? 1 : -1

  vpc_config {
    subnet_ids         = var.subnet_ids
    security_group_ids = [aws_security_group.lambda[each.key].id]
  }

  environment {
    variables = each.value.environment
  }

  logging_config {
    log_format = "Text" # the functions write JSON themselves
    log_group  = aws_cloudwatch_log_group.lambda[each.key].name
  }
}

resource "aws_lambda_function_event_invoke_config" "main" {
  for_each = var.retries

  function_name                = aws_lambda_function.main[each.key].function_name
  maximum_retry_attempts       = each.value.max_retries
  maximum_event_age_in_seconds = each.value.max_age_s

  destination_config {
    on_failure {
      destination = var.failed_runs_arn
    }
  }
}

resource "aws_lambda_event_source_mapping" "main" {
  for_each = var.event_sources

  event_source_arn = each.value.queue_arn
  function_name    = aws_lambda_function.main[each.value.function].arn
  batch_size       = each.value.batch_size
  # Not even 0 is allowed for a FIFO queue.
  maximum_batching_window_in_seconds = each.value.fifo ? null : each.value.window_s
  function_response_types            = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = each.value.max_concurrency
  }
}
