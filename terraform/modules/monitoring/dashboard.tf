# From the broker to the cache, in the order in which a reading goes; then the portal and commands.

locals {
  function_metrics = { for name, function_name in var.functions : name => [
    for metric in ["Invocations", "Errors", "Throttles"] : ["AWS/Lambda", metric, "FunctionName", function_name, { stat = "Sum" }]
  ] }
  function_durations = { for name, function_name in var.functions : name => [
    ["AWS/Lambda", "Duration", "FunctionName", function_name, { stat = "p50", label = "median" }],
    ["AWS/Lambda", "Duration", "FunctionName", function_name, { stat = "Maximum", label = "longest" }],
  ] }
  queue_metrics = { for name, queue in var.queues : name => [
    ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue.name, { label = "waiting" }],
    ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", queue.name, { label = "in flight" }],
    ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue.dead_letter_name, { label = "dead letters" }],
    ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", queue.name, { label = "oldest, s", yAxis = "right" }],
  ] }

  command_outcomes = ["CommandsSent", "CommandsUndelivered", "CommandsExpired", "CommandsFailed", "MessagesFailed"]

  # What the functions and the broker count themselves, in CloudWatch's embedded metric format.
  own_metrics = { for service, metrics in {
    broker       = ["BrokerClientsConnected", "BrokerMessagesReceived", "BrokerMessagesDropped", "BrokerMessagesQueued", "IngestSessionsLost", "SlotsOrphaned"]
    parsing      = ["MessagesReceived", "ReadingsParsed", "EventsParsed", "CommandAnswers", "MessagesRefused", "MessagesHeld", "UplinksWaiting", "SessionsCreated"]
    distributing = ["MessagesRouted", "MessagesFailed"]
    db1          = ["ReadingsStored", "ReadingsDuplicate", "ReadingsConflicting", "MessagesQuarantined", "CommandEvents", "MessagesFailed"]
    sync         = ["StatusesSynced"]

    mqtt_command    = local.command_outcomes
    lorawan_command = local.command_outcomes
  } : service => [for metric in metrics : ["Plumbline", metric, "service", service, lookup(local.levels, metric, { stat = "Sum" })]] }
  # Not counts: each broker task tells once a minute how much there is.
  levels = {
    BrokerClientsConnected = { stat = "Sum", period = 60 }
    BrokerMessagesQueued   = { stat = "Sum", period = 60 }
    SlotsOrphaned          = { stat = "Maximum" }
    UplinksWaiting         = { stat = "Maximum" }
  }

  # Each row has three graphs.
  rows = [
    {
      heading = "Devices → broker"
      graphs = [
        { title = "Load balancer", metrics = [
          ["AWS/NetworkELB", "ActiveFlowCount", "LoadBalancer", var.broker.load_balancer, { stat = "Average" }],
          ["AWS/NetworkELB", "NewFlowCount", "LoadBalancer", var.broker.load_balancer, { stat = "Sum" }],
          ["AWS/NetworkELB", "UnHealthyHostCount", "TargetGroup", var.broker.target_group, "LoadBalancer", var.broker.load_balancer, { stat = "Maximum" }],
        ] },
        { title = "Broker tasks", metrics = [
          ["AWS/ECS", "CPUUtilization", "ClusterName", var.broker.cluster_name, "ServiceName", var.broker.service_name, { stat = "Average" }],
          ["AWS/ECS", "MemoryUtilization", "ClusterName", var.broker.cluster_name, "ServiceName", var.broker.service_name, { stat = "Average" }],
          ["AWS/ECS", "CPUUtilization", "ClusterName", var.broker.cluster_name, "ServiceName", var.broker.service_name, { stat = "SampleCount", label = "tasks", period = 60, yAxis = "right" }],
        ] },
        { title = "Broker ($SYS)", metrics = local.own_metrics.broker },
      ]
    },
    {
      heading = "Parsing"
      graphs = [
        { title = "Runs", metrics = local.function_metrics.parsing },
        { title = "Duration, ms", metrics = local.function_durations.parsing },
        { title = "Messages", metrics = local.own_metrics.parsing },
      ]
    },
    {
      heading = "Queue distributing → distributing"
      graphs = [
        { title = "Queue distributing", metrics = local.queue_metrics.distributing },
        { title = "Runs", metrics = local.function_metrics.distributing },
        { title = "Messages", metrics = local.own_metrics.distributing },
      ]
    },
    {
      heading = "Queue db1 → DB1"
      graphs = [
        { title = "Queue db1", metrics = local.queue_metrics.db1 },
        { title = "Runs", metrics = local.function_metrics.db1 },
        { title = "Readings", metrics = local.own_metrics.db1 },
      ]
    },
    {
      heading = "Aurora"
      graphs = [
        { title = "CPU and capacity, %", metrics = [
          ["AWS/RDS", "CPUUtilization", "DBClusterIdentifier", var.aurora_cluster],
          ["AWS/RDS", "ACUUtilization", "DBClusterIdentifier", var.aurora_cluster],
          ["AWS/RDS", "ServerlessDatabaseCapacity", "DBClusterIdentifier", var.aurora_cluster, { label = "ACU", yAxis = "right" }],
        ] },
        { title = "Connections", metrics = [
          ["AWS/RDS", "DatabaseConnections", "DBClusterIdentifier", var.aurora_cluster, { stat = "Maximum" }],
        ] },
        { title = "Latency, s", metrics = [
          ["AWS/RDS", "ReadLatency", "DBClusterIdentifier", var.aurora_cluster],
          ["AWS/RDS", "WriteLatency", "DBClusterIdentifier", var.aurora_cluster],
        ] },
      ]
    },
    {
      heading = "Sync → Redis"
      graphs = [
        { title = "Runs", metrics = concat(local.function_metrics.sync, local.own_metrics.sync) },
        { title = "Redis: CPU and memory, %", metrics = concat([for node in var.redis_nodes : [
          ["AWS/ElastiCache", "EngineCPUUtilization", "CacheClusterId", node],
          ["AWS/ElastiCache", "DatabaseMemoryUsagePercentage", "CacheClusterId", node],
        ]]...) },
        { title = "Redis: hits, misses, evictions", metrics = concat([for node in var.redis_nodes : [
          ["AWS/ElastiCache", "CacheHits", "CacheClusterId", node, { stat = "Sum" }],
          ["AWS/ElastiCache", "CacheMisses", "CacheClusterId", node, { stat = "Sum" }],
          ["AWS/ElastiCache", "Evictions", "CacheClusterId", node, { stat = "Sum" }],
        ]]...) },
      ]
    },
    {
      heading = "Portal"
      graphs = [
        { title = "Requests", metrics = [
          ["AWS/ApplicationELB", "RequestCount", "LoadBalancer", var.portal.load_balancer, { stat = "Sum" }],
          ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "LoadBalancer", var.portal.load_balancer, { stat = "Sum" }],
          ["AWS/WAFV2", "BlockedRequests", "WebACL", var.portal.web_acl_name, "Rule", "ALL", { stat = "Sum", region = "us-east-1" }],
        ] },
        { title = "Response time, s", metrics = [
          ["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.portal.load_balancer, { stat = "p50", label = "median" }],
          ["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.portal.load_balancer, { stat = "p99", label = "p99" }],
        ] },
        { title = "Instances", metrics = [
          ["AWS/ApplicationELB", "HealthyHostCount", "TargetGroup", var.portal.target_group, "LoadBalancer", var.portal.load_balancer, { stat = "Minimum" }],
          ["AWS/ApplicationELB", "UnHealthyHostCount", "TargetGroup", var.portal.target_group, "LoadBalancer", var.portal.load_balancer, { stat = "Maximum" }],
          ["AWS/EC2", "CPUUtilization", "AutoScalingGroupName", var.portal.autoscaling_group, { yAxis = "right" }],
        ] },
      ]
    },
    {
      heading = "Commands"
      graphs = [
        { title = "Queues", metrics = concat(local.queue_metrics.mqtt-command, local.queue_metrics.lorawan-command) },
        { title = "Runs", metrics = concat(local.function_metrics.mqtt_command, local.function_metrics.lorawan_command) },
        { title = "Commands", metrics = concat(local.own_metrics.mqtt_command, local.own_metrics.lorawan_command) },
      ]
    },
    {
      heading = "Upkeep"
      graphs = [
        { title = "Maintenance", metrics = local.function_metrics.maintenance },
        { title = "Failed runs", metrics = [
          ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.failed_runs_name],
        ] },
        { title = "Queues of the broker on EFS, bytes", metrics = [
          ["AWS/EFS", "StorageBytes", "StorageClass", "Total", "FileSystemId", var.broker.file_system_id, { period = 900 }],
        ] },
      ]
    },
  ]

  row_height = 7
  widgets = concat(
    [{
      type   = "alarm"
      x      = 0
      y      = 0
      width  = 24
      height = 4
      properties = {
        title = "Alarms"
        alarms = concat(
          [for alarm in aws_cloudwatch_metric_alarm.main : alarm.arn],
          [for alarm in aws_cloudwatch_metric_alarm.lambda_errors : alarm.arn],
        )
      }
    }],
    concat([for row, content in local.rows : concat(
      [{
        type       = "text"
        x          = 0
        y          = 4 + row * local.row_height
        width      = 24
        height     = 1
        properties = { markdown = "## ${content.heading}" }
      }],
      [for column, graph in content.graphs : {
        type   = "metric"
        x      = column * 8
        y      = 5 + row * local.row_height
        width  = 8
        height = local.row_height - 1
        properties = {
          title   = graph.title
          region  = var.aws_region
          view    = "timeSeries"
          period  = 300
          metrics = graph.metrics
        }
      }],
    )]...),
  )
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = "dashboard-${var.name_prefix}"
  dashboard_body = jsonencode({ widgets = local.widgets })
}
