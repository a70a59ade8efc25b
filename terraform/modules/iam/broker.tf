# Two roles of the broker's tasks: with one ECS starts them, with the other they work.

locals {
  tasks_assume = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role" "broker_execution" {
  name               = "iam-role-${var.name_prefix}-broker-execution"
  description        = "Starts the broker's tasks: image, secrets, log"
  assume_role_policy = local.tasks_assume
}

resource "aws_iam_role_policy" "broker_execution" {
  name = "iam-policy-${var.name_prefix}-broker-execution"
  role = aws_iam_role.broker_execution.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # A token for the registry as a whole; the action knows no resource.
        Sid      = "SignInToTheRegistry"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
      {
        Sid      = "PullTheImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = [var.broker.repository_arn]
      },
      {
        Sid      = "WriteItsLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${var.broker.log_group_arn}:*"]
      },
      {
        Sid      = "ReadSecrets"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = var.broker.secret_arns
      },
      {
        Sid       = "DecryptSecrets"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = [var.kms_key_arn]
        Condition = { StringEquals = { "kms:EncryptionContext:SecretARN" = var.broker.secret_arns } }
      },
    ]
  })
}

resource "aws_iam_role" "broker_task" {
  name               = "iam-role-${var.name_prefix}-broker-task"
  description        = "Of the broker's tasks themselves"
  assume_role_policy = local.tasks_assume
}

resource "aws_iam_role_policy" "broker_task" {
  name = "iam-policy-${var.name_prefix}-broker-task"
  role = aws_iam_role.broker_task.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "KeepQueuesOnEfs"
        Effect    = "Allow"
        Action    = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
        Resource  = [var.broker.file_system_arn]
        Condition = { StringEquals = { "elasticfilesystem:AccessPointArn" = var.broker.access_point_arn } }
      },
      {
        Sid      = "ReadTheDevicesPasswords"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["${var.broker.password_bucket_arn}/${var.broker.password_object_key}"]
      },
      {
        Sid       = "TellThatTheFileIsAbsent"
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = [var.broker.password_bucket_arn]
        Condition = { StringEquals = { "s3:prefix" = var.broker.password_object_key } }
      },
    ]
  })
}
