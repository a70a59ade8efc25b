# Production: protected from deletion, its network recorded, people told of alarms. Yours are the
# first four.

domain_name      = "tilt.example.com"
hosted_zone_id   = "Z0123456789ABCDEFGHIJ"
broker_image_tag = "0.1.0"
alarm_emails     = ["operations@example.com"]

project = "tilt"
app     = "sensor"
env     = "prod"

deletion_protection = true
flow_logs_enabled   = true
log_retention_days  = 365

common_tags = {
  Project     = "TiltSensor"
  Environment = "Prod"
  CreatedBy   = "Plumbline"
  ManagedBy   = "Terraform"
}
