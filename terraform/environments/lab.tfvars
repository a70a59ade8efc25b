# A lab: the document's defaults; everything can be destroyed. Yours are the first four.

domain_name      = "tilt.example.com"
hosted_zone_id   = "Z0123456789ABCDEFGHIJ"
broker_image_tag = "0.1.0"
alarm_emails     = []

project = "tilt"
app     = "sensor"
env     = "lab"

common_tags = {
  Project     = "TiltSensor"
  Environment = "Lab"
  CreatedBy   = "Plumbline"
  ManagedBy   = "Terraform"
}
