# Installs the connector's daemon on Windows Server as a task that starts with the machine, runs as a group managed
# service account, and is started again when it ends. Run it once, elevated, in the folder of a release:
#
#   .\deploy\windows\install.ps1 -Account "SCHOOL\connector$" -Wheel .\connector-0.1.0-py3-none-any.whl -Lock .\runtime.txt
#
# The account must exist and be installed on this machine first (New-ADServiceAccount, Install-ADServiceAccount).
# Nobody knows its password, this script included. It can be run again: then it upgrades. docs/installing.md says more.

[CmdletBinding()]
param(
    [Parameter(Mandatory)] [string] $Account,
    [Parameter(Mandatory)] [string] $Wheel,
    [Parameter(Mandatory)] [string] $Lock,
    [string] $Program = (Join-Path $env:ProgramFiles "Connector"),
    [string] $State = (Join-Path $env:ProgramData "Connector"),
    [string] $Task = "Connector daemon"
)

Set-StrictMode -Version Latest
$ErrorActionPreference = "Stop"

function Invoke-Checked([string] $File, [string[]] $Words) {
    & $File @Words
    if ($LASTEXITCODE -ne 0) { throw "$File ended with $LASTEXITCODE. Nothing after it was done." }
}

$Python = Join-Path $Program "Scripts\python.exe"
$Connector = Join-Path $Program "Scripts\connector.exe"
$Config = Join-Path $State "config.toml"

# 1. The program. Everybody may run it, administrators alone change it: that is what Program Files grants.
if (Get-ScheduledTask -TaskName $Task -ErrorAction SilentlyContinue) { Stop-ScheduledTask -TaskName $Task }
if (-not (Test-Path $Python)) { Invoke-Checked "py" @("-3", "-m", "venv", $Program) }
Invoke-Checked $Python @("-m", "pip", "install", "--only-binary=:all:", "--require-hashes", "--requirement", $Lock)
Invoke-Checked $Python @("-m", "pip", "install", "--no-index", "--no-deps", "--force-reinstall", $Wheel)

# 2. The folder of journal, config and reports: the account and administrators, and nobody else. Windows has no file
#    modes that the connector could check: this is what keeps the audit key and secret files from other users.
#    Every user may make folders in ProgramData: one that was there before us, and is not an administrator's, may hold
#    somebody else's config.toml, and its owner could open it again whatever we close.
$Fresh = -not (Test-Path $State)
if (-not $Fresh) {
    $Owner = (Get-Acl $State).GetOwner([System.Security.Principal.SecurityIdentifier]).Value
    $Linked = (Get-Item -Force $State).Attributes -band [IO.FileAttributes]::ReparsePoint
    if ($Linked -or $Owner -notin @("S-1-5-32-544", "S-1-5-18")) {
        throw "$State is there already and belongs to $Owner. Look who made it, take it away, then run this again."
    }
}
New-Item -ItemType Directory -Force -Path $State | Out-Null
Invoke-Checked "icacls" @($State, "/setowner", "*S-1-5-32-544")
Invoke-Checked "icacls" @($State, "/inheritance:r", "/grant:r", "*S-1-5-32-544:(OI)(CI)F", "*S-1-5-18:(OI)(CI)F")
Invoke-Checked "icacls" @($State, "/grant:r", ($Account + ":(OI)(CI)M"))
if ($Fresh -and (Get-ChildItem -Force $State)) { throw "Somebody laid a file into $State while it was made. Look who." }
if (-not (Test-Path $Config)) { Invoke-Checked $Connector @("--config", $Config, "init") }

# 3. The task: with the machine, as the account, for ever, again a minute after it ended, never twice.
$Action = New-ScheduledTaskAction -Execute $Connector -WorkingDirectory $State -Argument "--config `"$Config`" daemon"
$Trigger = New-ScheduledTaskTrigger -AtStartup
$Principal = New-ScheduledTaskPrincipal -UserId $Account -LogonType Password -RunLevel Limited
$Rules = New-ScheduledTaskSettingsSet -ExecutionTimeLimit ([TimeSpan]::Zero) -MultipleInstances IgnoreNew `
    -RestartCount 999 -RestartInterval (New-TimeSpan -Minutes 1) -StartWhenAvailable -AllowStartIfOnBatteries
Register-ScheduledTask -TaskName $Task -Action $Action -Trigger $Trigger -Principal $Principal -Settings $Rules -Force |
    Out-Null

Write-Host "Installed. Edit $Config, then: & '$Connector' --config '$Config' check"
Write-Host "Start it with: Start-ScheduledTask -TaskName '$Task'"
