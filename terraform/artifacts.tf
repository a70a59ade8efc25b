# What is deployed (functions, portal) and the devices' password file of the broker.

locals {
  lambda_package = jsondecode(file(var.lambda_package))
  portal_package = jsondecode(file(var.portal_package))

  password_object_key = "broker/passwords"
}

resource "aws_s3_bucket" "artifacts" {
  # checkov:skip=CKV_AWS_18: who reads and writes here stands in the roles; a log of it would be read by nobody
  # checkov:skip=CKV_AWS_144: one region (constraint 16.2); all but the password file is built again, and that is written anew from the registry
  # checkov:skip=CKV_AWS_145: packages, and hashes of passwords: keys of S3 itself, which every reader may use without a role for them
  # checkov:skip=CKV2_AWS_62: nothing waits for a new object: a deployment names the one that it wants

  bucket        = "s3-${local.name_prefix}-artifacts-${local.account_id}"
  force_destroy = !var.deletion_protection
}

resource "aws_s3_bucket_public_access_block" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 90
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.artifacts]
}

resource "aws_s3_bucket_policy" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EncryptedOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.artifacts.arn, "${aws_s3_bucket.artifacts.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.artifacts]
}

resource "aws_s3_object" "lambdas" {
  bucket      = aws_s3_bucket.artifacts.id
  key         = "lambdas/${local.lambda_package.sha256}.zip"
  source      = "${dirname(var.lambda_package)}/${local.lambda_package.archive}"
  source_hash = local.lambda_package.sha256

  depends_on = [aws_s3_bucket_versioning.artifacts]
}

resource "aws_s3_object" "portal" {
  bucket      = aws_s3_bucket.artifacts.id
  key         = "portal/${local.portal_package.sha256}.tar"
  source      = "${dirname(var.portal_package)}/${local.portal_package.archive}"
  source_hash = local.portal_package.sha256

  depends_on = [aws_s3_bucket_versioning.artifacts]
}
