output "queues" {
  description = "By the topology's name: name, arn, url, and the same of the dead-letter queue."
  value = { for name, queue in aws_sqs_queue.main : name => {
    name             = queue.name
    arn              = queue.arn
    url              = queue.id
    dead_letter_name = aws_sqs_queue.dead_letter[name].name
    dead_letter_arn  = aws_sqs_queue.dead_letter[name].arn
    dead_letter_url  = aws_sqs_queue.dead_letter[name].id
  } }
}

output "failed_runs" {
  description = "Name and arn of the queue of failed runs."
  value       = { name = aws_sqs_queue.failed_runs.name, arn = aws_sqs_queue.failed_runs.arn }
}

output "fifo_distributing_url" {
  description = "URL of the queue from parsing to distributing."
  value       = aws_sqs_queue.main["distributing"].id
}

output "db1_url" {
  description = "URL of the queue from distributing to DB1."
  value       = aws_sqs_queue.main["db1"].id
}

output "mqtt_command_url" {
  description = "URL of the queue of commands over MQTT."
  value       = aws_sqs_queue.main["mqtt-command"].id
}

output "lorawan_command_url" {
  description = "URL of the queue of commands over LoRaWAN."
  value       = aws_sqs_queue.main["lorawan-command"].id
}
