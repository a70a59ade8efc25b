locals {
  # With NAT the services are reached over the internet gateway.
  endpoint_services = var.private_access == "endpoints" ? var.endpoint_services : toset([])

  # Buckets of AWS's own that private components read: the layers of container images in ECR, and
  # the packages of Amazon Linux, from which a portal instance installs Python.
  public_buckets = [
    "prod-${var.aws_region}-starport-layer-bucket",
    "al2023-repos-${var.aws_region}-de612dc2",
  ]
}

resource "aws_security_group" "endpoints" {
  name        = "${var.name_prefix}-endpoints-sg"
  description = "Interface endpoints of AWS services"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "sg-${var.name_prefix}-endpoints" }
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.endpoint_services

  vpc_id              = aws_vpc.main.id
  vpc_endpoint_type   = "Interface"
  service_name        = "com.amazonaws.${var.aws_region}.${each.key}"
  subnet_ids          = [for subnet in aws_subnet.private : subnet.id]
  security_group_ids  = [aws_security_group.endpoints.id]
  private_dns_enabled = true

  # The way out of a private subnet leads to this account and to no other.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = "*"
      Action    = "*"
      Resource  = "*"
      Condition = { StringEquals = { "aws:PrincipalAccount" = var.account_id } }
    }]
  })

  tags = { Name = "vpce-${var.name_prefix}-${replace(each.key, ".", "-")}" }
}

# A gateway endpoint costs nothing.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.main.id
  vpc_endpoint_type = "Gateway"
  service_name      = "com.amazonaws.${var.aws_region}.s3"
  route_table_ids   = [for table in aws_route_table.private : table.id]

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OwnBuckets"
        Effect    = "Allow"
        Principal = "*"
        Action    = ["s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:PutObject"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:ResourceAccount" = var.account_id } }
      },
      {
        Sid       = "ImageLayersAndSystemPackages"
        Effect    = "Allow"
        Principal = "*"
        Action    = "s3:GetObject"
        Resource  = [for bucket in local.public_buckets : "arn:aws:s3:::${bucket}/*"]
      },
    ]
  })

  tags = { Name = "vpce-${var.name_prefix}-s3" }
}
