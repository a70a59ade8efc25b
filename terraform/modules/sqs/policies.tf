locals {
  all_queues = merge(
    { for name, queue in aws_sqs_queue.main : name => queue },
    { for name, queue in aws_sqs_queue.dead_letter : "${name}-dlq" => queue },
  )
}

resource "aws_sqs_queue_policy" "encrypted_only" {
  for_each = merge(
    { for name in keys(var.queues) : name => name },
    { for name in keys(var.queues) : "${name}-dlq" => name },
  )

  queue_url = local.all_queues[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EncryptedOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = local.all_queues[each.key].arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

resource "aws_sqs_queue_policy" "failed_runs" {
  queue_url = aws_sqs_queue.failed_runs.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "EncryptedOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.failed_runs.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "UndeliveredEvents"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.failed_runs.arn
        Condition = { ArnEquals = { "aws:SourceArn" = var.rule_arns } }
      },
    ]
  })
}
