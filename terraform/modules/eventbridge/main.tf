resource "aws_cloudwatch_event_rule" "schedule" {
  for_each = var.schedules

  name                = "eventbridge-${var.name_prefix}-${each.key}"
  description         = "Runs ${each.value.function_name}"
  schedule_expression = each.value.expression
}

resource "aws_cloudwatch_event_target" "schedule" {
  for_each = var.schedules

  rule      = aws_cloudwatch_event_rule.schedule[each.key].name
  target_id = each.key
  arn       = each.value.function_arn

  # Until Lambda has taken the event; what the function makes of it is retried by Lambda itself.
  retry_policy {
    maximum_retry_attempts       = each.value.max_retries
    maximum_event_age_in_seconds = each.value.max_age_s
  }

  dead_letter_config {
    arn = var.failed_runs_arn
  }
}

resource "aws_lambda_permission" "schedule" {
  for_each = var.schedules

  statement_id  = "eventbridge-${each.key}"
  action        = "lambda:InvokeFunction"
  function_name = each.value.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.schedule[each.key].arn
}

# A broker task that is asked to stop waits until its queue is drained.
resource "aws_cloudwatch_event_rule" "stopping_task" {
  name        = "eventbridge-${var.name_prefix}-stopping-broker"
  description = "A broker task is asked to stop: runs ${var.stopping_tasks.function_name}"

  event_pattern = jsonencode({
    source      = ["aws.ecs"]
    detail-type = ["ECS Task State Change"]
    detail = {
      clusterArn    = [var.stopping_tasks.cluster_arn]
      group         = ["service:${var.stopping_tasks.service_name}"]
      desiredStatus = ["STOPPED"]
      lastStatus    = ["RUNNING", "DEACTIVATING", "STOPPING"]
    }
  })
}

resource "aws_cloudwatch_event_target" "stopping_task" {
  rule      = aws_cloudwatch_event_rule.stopping_task.name
  target_id = "stopping-broker"
  arn       = var.stopping_tasks.function_arn

  dead_letter_config {
    arn = var.failed_runs_arn
  }

  retry_policy {
    maximum_retry_attempts       = 2
    maximum_event_age_in_seconds = 60 # later the task is gone
  }
}

resource "aws_lambda_permission" "stopping_task" {
  statement_id  = "eventbridge-stopping-broker"
  action        = "lambda:InvokeFunction"
  function_name = var.stopping_tasks.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.stopping_task.arn
}
