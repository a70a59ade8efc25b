locals {
  # FIFO queues are told apart twice: sqs-fifo-… for people, ….fifo for SQS.
  names = { for name, queue in var.queues : name => {
    queue       = queue.fifo ? "sqs-fifo-${var.name_prefix}-${name}.fifo" : "sqs-${var.name_prefix}-${name}"
    dead_letter = queue.fifo ? "sqs-fifo-${var.name_prefix}-${name}-dlq.fifo" : "sqs-${var.name_prefix}-${name}-dlq"
  } }
}

resource "aws_sqs_queue" "main" {
  for_each = var.queues

  name       = local.names[each.key].queue
  fifo_queue = each.value.fifo

  # Senders give every message a deduplication id of its own: equal bodies are not equal messages.
  content_based_deduplication = each.value.fifo ? false : null
  # Both limits hold for a device, not for the queue.
  deduplication_scope   = each.value.fifo ? "messageGroup" : null
  fifo_throughput_limit = each.value.fifo ? "perMessageGroupId" : null

  visibility_timeout_seconds = each.value.visibility_timeout_s
  message_retention_seconds  = each.value.retention_s
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter[each.key].arn
    maxReceiveCount     = each.value.max_receive_count
  })
}

resource "aws_sqs_queue" "dead_letter" {
  for_each = var.queues

  name       = local.names[each.key].dead_letter
  fifo_queue = each.value.fifo

  content_based_deduplication = each.value.fifo ? false : null
  deduplication_scope         = each.value.fifo ? "messageGroup" : null
  fifo_throughput_limit       = each.value.fifo ? "perMessageGroupId" : null

  visibility_timeout_seconds = each.value.visibility_timeout_s
  message_retention_seconds  = each.value.dead_letter_retention_s
  sqs_managed_sse_enabled    = true
}

# A dead-letter queue takes letters of its own queue alone.
resource "aws_sqs_queue_redrive_allow_policy" "dead_letter" {
  for_each = var.queues

  queue_url = aws_sqs_queue.dead_letter[each.key].id
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.main[each.key].arn]
  })
}

# Runs of scheduled functions that failed to the last of their retries.
resource "aws_sqs_queue" "failed_runs" {
  name                      = "sqs-${var.name_prefix}-failed-runs"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}
