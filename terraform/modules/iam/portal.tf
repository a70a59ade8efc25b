resource "aws_iam_role" "portal" {
  name        = "iam-role-${var.name_prefix}-portal"
  description = "Of the portal's instances"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "portal" {
  name = "iam-policy-${var.name_prefix}-portal"
  role = aws_iam_role.portal.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "FetchItsBundle"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:GetObjectVersion"]
        Resource = [var.portal.bundle_arn]
      },
      {
        Sid      = "SendCommands"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = var.portal.command_queue_arns
      },
      {
        Sid      = "CountMessages"
        Effect   = "Allow"
        Action   = ["sqs:GetQueueAttributes"]
        Resource = var.portal.counted_queue_arns
      },
      {
        Sid      = "SignInToTheDatabase"
        Effect   = "Allow"
        Action   = ["rds-db:connect"]
        Resource = [var.portal.database_user_arn]
      },
      {
        Sid      = "SignInToTheCache"
        Effect   = "Allow"
        Action   = ["elasticache:Connect"]
        Resource = [var.replication_group_arn, var.portal.cache_user_arn]
      },
      {
        Sid      = "WriteItsLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = ["${var.portal.log_group_arn}:*"]
      },
    ]
  })
}

resource "aws_iam_instance_profile" "portal" {
  name = "iam-profile-${var.name_prefix}-portal"
  role = aws_iam_role.portal.name
}
