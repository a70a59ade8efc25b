# Access log of the load balancer and the audit's records.

locals {
  trail_arn = "arn:aws:cloudtrail:${var.aws_region}:${var.account_id}:trail/cloudtrail-${var.name_prefix}"
}

resource "aws_s3_bucket" "logs" {
  # checkov:skip=CKV_AWS_18: a log of the bucket of logs would be written into itself
  # checkov:skip=CKV_AWS_21: logs are written once and expire; CloudTrail signs its files
  # checkov:skip=CKV_AWS_144: one region (constraint 16.2)
  # checkov:skip=CKV_AWS_145: load balancers write to buckets with keys of S3 itself only
  # checkov:skip=CKV2_AWS_62: nothing waits for a new log

  bucket        = "s3-${var.name_prefix}-logs-${var.account_id}"
  force_destroy = !var.deletion_protection
}

resource "aws_s3_bucket_public_access_block" "logs" {
  bucket = aws_s3_bucket.logs.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "logs" {
  bucket = aws_s3_bucket.logs.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "logs" {
  bucket = aws_s3_bucket.logs.id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    expiration {
      days = var.log_retention_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_policy" "logs" {
  bucket = aws_s3_bucket.logs.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid       = "EncryptedOnly"
          Effect    = "Deny"
          Principal = "*"
          Action    = "s3:*"
          Resource  = [aws_s3_bucket.logs.arn, "${aws_s3_bucket.logs.arn}/*"]
          Condition = { Bool = { "aws:SecureTransport" = "false" } }
        },
        {
          Sid       = "AccessLogOfTheLoadBalancer"
          Effect    = "Allow"
          Principal = { Service = "logdelivery.elasticloadbalancing.amazonaws.com" }
          Action    = "s3:PutObject"
          Resource  = "${aws_s3_bucket.logs.arn}/alb/AWSLogs/${var.account_id}/*"
        },
      ],
      [for bucket in [aws_s3_bucket.logs.arn] : {
        Sid       = "FindTheBucket"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = "s3:GetBucketAcl"
        Resource  = bucket
        Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn } }
      } if var.audit.cloudtrail],
      [for bucket in [aws_s3_bucket.logs.arn] : {
        Sid       = "TrailOfCalls"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${bucket}/cloudtrail/AWSLogs/${var.account_id}/*"
        Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn } }
      } if var.audit.cloudtrail],
    )
  })

  depends_on = [aws_s3_bucket_public_access_block.logs]
}
