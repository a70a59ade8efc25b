# Every alarm says in its description what is wrong and where to read on.

locals {
  alarm_defaults = {
    statistic  = "Maximum"
    period_s   = 60
    periods    = 1
    comparison = "GreaterThanThreshold"
    missing    = "notBreaching"
    runbook    = "docs/runbooks/alarms.md"
  }

  # Of the design document, but for the share of failed runs, which is computed below.
  document_alarms = merge(
    { for name, queue in var.queues : "sqs-age-${name}" => {
      description = "The oldest message of ${queue.name} waits for more than 10 minutes."
      namespace   = "AWS/SQS"
      metric      = "ApproximateAgeOfOldestMessage"
      dimensions  = { QueueName = queue.name }
      threshold   = 600
      runbook     = "docs/runbooks/queue-depth.md"
    } },
    {
      aurora-cpu = {
        description = "Aurora's CPU is above 80 % for 5 minutes."
        namespace   = "AWS/RDS"
        metric      = "CPUUtilization"
        dimensions  = { DBClusterIdentifier = var.aurora_cluster }
        statistic   = "Average"
        period_s    = 300
        threshold   = 80
        runbook     = "docs/runbooks/database-connections.md"
      }
      ecs-tasks = {
        # Each running task sends one value a minute.
        description = "No task of the broker runs: devices cannot connect."
        namespace   = "AWS/ECS"
        metric      = "CPUUtilization"
        dimensions  = { ClusterName = var.broker.cluster_name, ServiceName = var.broker.service_name }
        statistic   = "SampleCount"
        comparison  = "LessThanThreshold"
        threshold   = 1
        missing     = "breaching"
        periods     = 2
        runbook     = "docs/runbooks/broker-tasks.md"
      }
      alb-unhealthy = {
        description = "An instance of the portal is unhealthy for 5 minutes."
        namespace   = "AWS/ApplicationELB"
        metric      = "UnHealthyHostCount"
        dimensions  = { LoadBalancer = var.portal.load_balancer, TargetGroup = var.portal.target_group }
        periods     = 5 # a new instance is unhealthy while it installs the portal
        threshold   = 0
        runbook     = "docs/runbooks/portal.md"
      }
    },
  )

  # What the document's would miss.
  own_alarms = merge(
    { for name, queue in var.queues : "dead-letters-${name}" => {
      description = "${queue.dead_letter_name} holds messages that failed to the last."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = queue.dead_letter_name }
      threshold   = 0
      runbook     = "docs/runbooks/dead-letters.md"
    } },
    { for name, period_s in var.schedules : "silent-${name}" => {
      description = "${var.functions[name]} did not run when it should have."
      namespace   = "AWS/Lambda"
      metric      = "Invocations"
      dimensions  = { FunctionName = var.functions[name] }
      statistic   = "Sum"
      period_s    = min(3 * period_s, 86400)
      comparison  = "LessThanThreshold"
      threshold   = 1
      missing     = "breaching"
      runbook     = "docs/runbooks/functions.md"
    } },
    {
      failed-runs = {
        description = "A scheduled run failed to the last of its retries."
        namespace   = "AWS/SQS"
        metric      = "ApproximateNumberOfMessagesVisible"
        dimensions  = { QueueName = var.failed_runs_name }
        threshold   = 0
        runbook     = "docs/runbooks/functions.md"
      }
      readings-stopped = {
        description = "No reading was stored for ${var.silence_minutes} minutes."
        namespace   = "Plumbline"
        metric      = "ReadingsStored"
        dimensions  = { service = "db1" }
        statistic   = "Sum"
        period_s    = var.silence_minutes * 60
        comparison  = "LessThanThreshold"
        threshold   = 1
        missing     = "breaching"
      }
      ingest-session-lost = {
        description = "A broker task found a used slot without the ingest session: what had waited there is lost."
        namespace   = "Plumbline"
        metric      = "IngestSessionsLost"
        dimensions  = { service = "broker" }
        statistic   = "Sum"
        threshold   = 0
        runbook     = "docs/runbooks/broker-tasks.md"
      }
      ingest-session-created = {
        description = "Parsing found no session at a broker task: what devices had published there before is lost."
        namespace   = "Plumbline"
        metric      = "SessionsCreated"
        dimensions  = { service = "parsing" }
        statistic   = "Sum"
        threshold   = 0
        runbook     = "docs/runbooks/broker-tasks.md"
      }
      broker-dropped = {
        description = "The broker dropped messages: more waited than it may keep."
        namespace   = "Plumbline"
        metric      = "BrokerMessagesDropped"
        dimensions  = { service = "broker" }
        statistic   = "Sum"
        threshold   = 0
        runbook     = "docs/runbooks/broker-tasks.md"
      }
      broker-slots-orphaned = {
        description = "A slot holds messages, and no task has it: they wait unread."
        namespace   = "Plumbline"
        metric      = "SlotsOrphaned"
        dimensions  = { service = "broker" }
        periods     = 10 # a task that is replaced takes some minutes
        threshold   = 0
        runbook     = "docs/runbooks/broker-tasks.md"
      }
      nlb-unhealthy = {
        description = "A task of the broker does not accept connections."
        namespace   = "AWS/NetworkELB"
        metric      = "UnHealthyHostCount"
        dimensions  = { LoadBalancer = var.broker.load_balancer, TargetGroup = var.broker.target_group }
        periods     = 5
        threshold   = 0
        runbook     = "docs/runbooks/broker-tasks.md"
      }
      aurora-capacity = {
        description = "Aurora has used 90 % of its largest capacity for 15 minutes."
        namespace   = "AWS/RDS"
        metric      = "ACUUtilization"
        dimensions  = { DBClusterIdentifier = var.aurora_cluster }
        statistic   = "Average"
        period_s    = 300
        periods     = 3
        threshold   = 90
        runbook     = "docs/runbooks/scaling.md"
      }
      portal-errors = {
        description = "The portal answered more than five requests with an error of its own in 5 minutes."
        namespace   = "AWS/ApplicationELB"
        metric      = "HTTPCode_Target_5XX_Count"
        dimensions  = { LoadBalancer = var.portal.load_balancer, TargetGroup = var.portal.target_group }
        statistic   = "Sum"
        period_s    = 300
        threshold   = 5
        runbook     = "docs/runbooks/portal.md"
      }
    },
    { for node in var.redis_nodes : "redis-memory-${node}" => {
      # A full cache refuses what is new.
      description = "${node} has used 80 % of its memory for 5 minutes."
      namespace   = "AWS/ElastiCache"
      metric      = "DatabaseMemoryUsagePercentage"
      dimensions  = { CacheClusterId = node }
      period_s    = 300
      threshold   = 80
      runbook     = "docs/runbooks/scaling.md"
    } },
  )

  alarms = { for name, alarm in merge(local.document_alarms, local.own_alarms) : name => merge(local.alarm_defaults, alarm) }
}

resource "aws_cloudwatch_metric_alarm" "main" {
  for_each = local.alarms

  alarm_name          = "alarm-${var.name_prefix}-${each.key}"
  alarm_description   = "${each.value.description} See ${each.value.runbook}."
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period_s
  evaluation_periods  = each.value.periods
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_metric_alarm" "lambda_errors" {
  for_each = var.functions

  alarm_name          = "alarm-${var.name_prefix}-lambda-errors-${each.key}"
  alarm_description   = "More than 5 % of the runs of ${each.value} failed in 5 minutes. See docs/runbooks/functions.md."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 5
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "share"
    label       = "Failed runs, %"
    expression  = "100 * errors / MAX([errors, invocations])"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { errors = "Errors", invocations = "Invocations" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/Lambda"
        metric_name = metric_query.value
        dimensions  = { FunctionName = each.value }
        period      = 300
        stat        = "Sum"
      }
    }
  }
}
