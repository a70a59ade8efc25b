# Once an account: where it has these already, they are switched off here.

resource "aws_cloudtrail" "main" {
  # checkov:skip=CKV_AWS_35: lies with the other logs, in a bucket with keys of S3 itself
  # checkov:skip=CKV_AWS_252: nobody waits for a file of the trail
  # checkov:skip=CKV2_AWS_10: is for looking back; what must be known at once are alarms

  count = var.audit.cloudtrail ? 1 : 0

  name                          = "cloudtrail-${var.name_prefix}"
  s3_bucket_name                = aws_s3_bucket.logs.id
  s3_key_prefix                 = "cloudtrail"
  is_multi_region_trail         = true
  include_global_service_events = true
  enable_log_file_validation    = true

  depends_on = [aws_s3_bucket_policy.logs]
}

resource "aws_iam_role" "config" {
  count = var.audit.config ? 1 : 0

  name        = "iam-role-${var.name_prefix}-config"
  description = "Records the configuration of resources"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "config.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

# AWS's own list of what Config reads; it grows with every service.
resource "aws_iam_role_policy_attachment" "config" {
  count = var.audit.config ? 1 : 0

  role       = aws_iam_role.config[0].name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWS_ConfigRole"
}

resource "aws_iam_role_policy" "config" {
  count = var.audit.config ? 1 : 0

  name = "iam-policy-${var.name_prefix}-config"
  role = aws_iam_role.config[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "FindTheBucket"
        Effect   = "Allow"
        Action   = ["s3:GetBucketAcl", "s3:ListBucket"]
        Resource = [aws_s3_bucket.logs.arn]
      },
      {
        Sid      = "WriteRecords"
        Effect   = "Allow"
        Action   = ["s3:PutObject"]
        Resource = ["${aws_s3_bucket.logs.arn}/config/AWSLogs/${var.account_id}/*"]
      },
    ]
  })
}

resource "aws_config_configuration_recorder" "main" {
  count = var.audit.config ? 1 : 0

  name     = "config-${var.name_prefix}"
  role_arn = aws_iam_role.config[0].arn

  recording_group {
    all_supported                 = true
    include_global_resource_types = true
  }
}

resource "aws_config_delivery_channel" "main" {
  count = var.audit.config ? 1 : 0

  name           = "config-${var.name_prefix}"
  s3_bucket_name = aws_s3_bucket.logs.id
  s3_key_prefix  = "config"

  depends_on = [aws_config_configuration_recorder.main, aws_s3_bucket_policy.logs]
}

resource "aws_config_configuration_recorder_status" "main" {
  count = var.audit.config ? 1 : 0

  name       = aws_config_configuration_recorder.main[0].name
  is_enabled = true

  depends_on = [
    aws_config_delivery_channel.main,
    aws_iam_role_policy.config,
    aws_iam_role_policy_attachment.config,
  ]
}

resource "aws_guardduty_detector" "main" {
  # checkov:skip=CKV2_AWS_3: for this account alone; an organisation has its own

  count = var.audit.guardduty ? 1 : 0

  enable = true

  tags = { Name = "guardduty-${var.name_prefix}" }
}
