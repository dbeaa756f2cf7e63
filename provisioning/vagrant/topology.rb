# frozen_string_literal: true

require "yaml"

module CrudMaster
  # A machine of topology.yml: `address` and the ports in `forwarded` (guest => host) are names of
  # variables; `secrets` are the secrets of its role alone.
  Machine = Struct.new(:name, :role, :memory, :cpus, :address, :forwarded, :secrets, :documents)

  # The parts of topology.yml that Vagrant needs. Provisioning reads and checks all of it.
  class Topology
    SECRET = /_(PASSWORD|TOKEN)\z/

    def self.read(root)
      new(YAML.safe_load(File.read(File.join(root, "topology.yml"), encoding: "utf-8")))
    rescue Psych::SyntaxError => error
      raise SettingsError, "topology.yml, line #{error.line}: #{error.problem}."
    rescue KeyError, NoMethodError, TypeError => error
      raise SettingsError, "topology.yml is invalid: #{error.message.lines.first.chomp}."
    end

    attr_reader :machines, :defaults, :optional

    def initialize(content)
      @roles = content.fetch("roles")
      @machines = content.fetch("machines").map { |name, row| machine(name, row) }
      @defaults = defaults_of(content).transform_values(&:to_s)
      @optional = @roles.values.flat_map { |role| role.fetch("optional", []) }
    end

    private

    def machine(name, row)
      role = @roles.fetch(row.fetch("role"))
      forwarded = row.fetch("forwarded", {}).transform_values { |host| host.keys.first }
      Machine.new(name, row.fetch("role"), role.fetch("memory"), role.fetch("cpus"),
                  row.fetch("address").keys.first, forwarded, secrets(role), role.fetch("documents", []))
    end

    def secrets(role)
      database = role.fetch("database", {}).keys.map { |name| name.sub(/NAME\z/, "PASSWORD") }
      own = [*role["settings"], *role["optional"]].grep(SECRET)
      [*database, "RABBITMQ_PASSWORD", *own]
    end

    def defaults_of(content)
      rows = content.fetch("machines").values
      processes = @roles.values.flat_map { |role| role.fetch("processes", {}).values }
      [*rows.map { |row| row.fetch("address") },
       *rows.flat_map { |row| row.fetch("forwarded", {}).values },
       *processes.map { |process| process.fetch("port") },
       *@roles.values.filter_map { |role| role["database"] }].reduce({}, :merge)
    end
  end
end
