# Network

output "vpc_id" {
  description = "VPC ID"
  value       = module.vpc.vpc_id
}

output "private_subnet_ids" {
  description = "Private subnet IDs"
  value       = module.vpc.private_subnet_ids
}

output "public_subnet_ids" {
  description = "Public subnet IDs"
  value       = module.vpc.public_subnet_ids
}

# Load balancers and names

output "nlb_dns_name" {
  description = "NLB DNS name for IoT devices"
  value       = module.nlb.dns_name
}

output "alb_dns_name" {
  description = "ALB DNS name"
  value       = module.alb.dns_name
}

output "cloudfront_domain_name" {
  description = "CloudFront distribution domain name"
  value       = module.cloudfront.domain_name
}

output "portal_url" {
  description = "Where people go"
  value       = "https://${var.domain_name}"
}

output "mqtt_url" {
  description = "Where devices connect"
  value       = "mqtts://${local.mqtt_name}:8883"
}

output "broker_certificate_names" {
  description = "Names that the broker's certificate must be for"
  value       = [local.mqtt_name, module.ecs.tasks_host]
}

# Storage

output "aurora_endpoint" {
  description = "Aurora cluster endpoint"
  value       = module.rds.cluster_endpoint
  sensitive   = true
}

output "redis_endpoint" {
  description = "Redis primary endpoint"
  value       = module.elasticache.primary_endpoint
  sensitive   = true
}

# Queues

output "sqs_fifo_distributing_url" {
  description = "SQS FIFO distributing queue URL"
  value       = module.sqs.fifo_distributing_url
}

output "sqs_db1_url" {
  description = "SQS DB1 queue URL"
  value       = module.sqs.db1_url
}

output "sqs_mqtt_command_url" {
  description = "SQS MQTT command queue URL"
  value       = module.sqs.mqtt_command_url
}

output "sqs_lorawan_command_url" {
  description = "SQS LoRaWAN command queue URL"
  value       = module.sqs.lorawan_command_url
}

# What people work with

output "function_names" {
  description = "The functions' names on AWS, by the topology's name"
  value       = { for name, function in module.lambda.functions : name => function.function_name }
}

output "broker_repository_url" {
  description = "Where the broker's image is pushed to"
  value       = module.ecs.repository_url
}

output "broker_tls_secret_arn" {
  description = "Secret for the broker's certificate and key"
  value       = module.ecs.tls_secret_arn
}

output "dashboard_name" {
  description = "CloudWatch dashboard"
  value       = module.monitoring.dashboard_name
}

output "alarm_topic_arn" {
  description = "SNS topic that alarms go to"
  value       = module.monitoring.alarm_topic_arn
}
