output "rule_arns" {
  description = "ARNs of all rules."
  value = concat(
    [for rule in aws_cloudwatch_event_rule.schedule : rule.arn],
    [aws_cloudwatch_event_rule.stopping_task.arn],
  )
}

output "rule_names" {
  description = "Names of the schedules' rules, by the topology's name."
  value       = { for name, rule in aws_cloudwatch_event_rule.schedule : name => rule.name }
}
